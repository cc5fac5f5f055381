"""The table of checks: what is right, and the section of the specification that says so.

Sections are those of kserve/open-inference-protocol's `inference_rest.md`, and of Triton's extensions where they begin
with the word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tiffin_serve.conformance.asking import Skipped, model_path, want, want_error, want_ok
from tiffin_serve.conformance.subject import Subject

NOBODY = "no-such-model"


class Check(NamedTuple):
    """One sentence that must be true of a server; `run` raises Failed or Skipped."""

    name: str
    section: str
    run: Callable[[Subject], None]


CHECKS: list[Check] = []


def check(name: str, section: str) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Put a function on the table."""

    def enter(run: Callable[[Subject], None]) -> Callable[[Subject], None]:
        CHECKS.append(Check(name, section, run))
        return run

    return enter


@check("the server is live", "Health")
def _(subject: Subject) -> None:
    want(subject.asking.get("/v2/health/live").status == 200, "answered something else than 200")  # noqa: PLR2004 - HTTP's number


@check("the server is ready", "Health")
def _(subject: Subject) -> None:
    want(subject.asking.get("/v2/health/ready").status == 200, "answered something else than 200")  # noqa: PLR2004 - HTTP's number


@check("the model is ready", "Health")
def _(subject: Subject) -> None:
    want(subject.asking.get(f"{subject.path}/ready").status == 200, "answered something else than 200")  # noqa: PLR2004 - HTTP's number


@check("a version of the model is ready", "Health")
def _(subject: Subject) -> None:
    path = model_path(subject.model, subject.version)
    want(subject.asking.get(f"{path}/ready").status == 200, "answered something else than 200")  # noqa: PLR2004 - HTTP's number


@check("a model that is not there is not ready", "Health")
def _(subject: Subject) -> None:
    status = subject.asking.get(f"{model_path(NOBODY)}/ready").status
    want(400 <= status < 500, f"answered {status}")  # noqa: PLR2004 - HTTP's numbers


@check("the server says its name, version and extensions", "Server Metadata")
def _(subject: Subject) -> None:
    told = want_ok(subject.asking.get("/v2"))
    want(isinstance(told, dict), "the answer is not an object")
    for key in ("name", "version"):
        want(isinstance(told.get(key), str), f"`{key}` is {told.get(key)!r}")
    names = told.get("extensions")
    want(isinstance(names, list) and all(isinstance(name, str) for name in names), f"`extensions` is {names!r}")


@check("the model says its name, platform, inputs and outputs", "Model Metadata")
def _(subject: Subject) -> None:
    told = subject.metadata
    want(told.get("name") == subject.model, f"`name` is {told.get('name')!r}")
    want(isinstance(told.get("platform"), str), f"`platform` is {told.get('platform')!r}")


@check("the model's inputs and outputs are known", "Model Metadata")
def _(subject: Subject) -> None:
    for side in ("inputs", "outputs"):
        want(subject.metadata[side], f"`{side}` is empty, so no client can know what to send or expect")


@check("a version of the model has the same metadata", "Model Metadata")
def _(subject: Subject) -> None:
    told = want_ok(subject.asking.get(model_path(subject.model, subject.version)))
    want(told.get("name") == subject.model, f"`name` is {told.get('name')!r}")
    want(told.get("inputs") == subject.metadata["inputs"], "the inputs differ")


@check("the metadata of a model that is not there is an error", "Model Metadata")
def _(subject: Subject) -> None:
    want_error(subject.asking.get(model_path(NOBODY)))


@check("the metadata of a version that is not there is an error", "Model Metadata")
def _(subject: Subject) -> None:
    want_error(subject.asking.get(model_path(subject.model, f"{subject.version}0000")))


@check("flat data is taken", "Tensor Data")
def _(subject: Subject) -> None:
    want(subject.answer, "no answer")


@check("nested data is taken", "Tensor Data")
def _(subject: Subject) -> None:
    subject.read(subject.infer({**subject.request, "inputs": [tensor.nested for tensor in subject.tensors]}))


@check("the answer is JSON and says so", "Inference Response JSON Object")
def _(subject: Subject) -> None:
    kind = subject.infer(subject.request).headers.get("content-type", "")
    want(kind.startswith("application/json"), f"the content type is '{kind}'")


@check("the outputs are those of the metadata", "Inference Response JSON Object")
def _(subject: Subject) -> None:
    known = {spec["name"]: spec for spec in subject.metadata["outputs"]}
    if not known:
        raise Skipped("the metadata has no outputs")
    for output in subject.answer["outputs"]:
        spec = known.get(output["name"])
        want(spec, f"output '{output['name']}' is not in the metadata")
        same = spec and spec["datatype"] == output["datatype"] and _fits(output["shape"], spec["shape"])
        want(same, f"output '{output['name']}' is {output['datatype']} {output['shape']}, the metadata say otherwise")


def _fits(shape: list[int], wanted: list[int]) -> bool:
    return len(shape) == len(wanted) and all(w in {-1, n} for n, w in zip(shape, wanted, strict=True))


@check("the id comes back", "Inference Response JSON Object")
def _(subject: Subject) -> None:
    answer = subject.read(subject.infer({**subject.request, "id": "c7-ö"}))
    want(answer.get("id") == "c7-ö", f"`id` is {answer.get('id')!r}")


@check("a version of the model answers and says its version", "Inference")
def _(subject: Subject) -> None:
    answer = subject.read(subject.infer(subject.request, subject.version))
    want(answer.get("model_version") == subject.version, f"`model_version` is {answer.get('model_version')!r}")


@check("only the outputs that are asked for come", "Inference Request JSON Object")
def _(subject: Subject) -> None:
    names = [output["name"] for output in subject.answer["outputs"]]
    for name in names:
        answer = subject.read(subject.infer({**subject.request, "outputs": [{"name": name}]}))
        found = [output["name"] for output in answer["outputs"]]
        want(found == [name], f"asked for '{name}', got {found}")


Spoil = Callable[[dict[str, Any]], Any]


def bad(name: str, section: str) -> Callable[[Spoil], Spoil]:
    """Put a request on the table that must be refused in the error form; the function spoils a right one.

    The right one must be answered, or a refusal would mean nothing.
    """

    def enter(spoil: Spoil) -> Spoil:
        def run(subject: Subject) -> None:
            want(subject.answer, "no answer")
            sent = spoil(subject.request)
            path = f"{subject.path}/infer"
            json_type = {"Content-Type": "application/json"}
            raw = isinstance(sent, bytes)
            want_error(subject.asking.ask("POST", path, sent, json_type) if raw else subject.asking.post(path, sent))

        CHECKS.append(Check(name, section, run))
        return spoil

    return enter
