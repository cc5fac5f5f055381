"""Checks of Triton's extensions, for servers that say they have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiffin_serve.conformance.asking import Skipped, model_path, want, want_error, want_ok
from tiffin_serve.conformance.checks import NOBODY, check
from tiffin_serve.conformance.subject import Subject

Run = Callable[[Subject], None]
BINARY = "binary_tensor_data"
REPOSITORY = "model_repository"
STATISTICS = "statistics"


def extension(name: str, extension_: str, section: str) -> Callable[[Run], Run]:
    """Put a check on the table for servers with an extension."""

    def enter(run: Run) -> Run:
        @check(name, f"Triton: {section}")
        def _(subject: Subject) -> None:
            if extension_ not in subject.extensions:
                raise Skipped(f"the server does not say that it has {extension_}")
            run(subject)

        return run

    return enter


def _binary(subject: Subject, **more: Any) -> tuple[dict[str, Any], bytes]:
    """Give a request whose inputs are all in binary form."""
    tensors = subject.tensors
    return {"inputs": [tensor.binary for tensor in tensors], **more}, b"".join([tensor.raw for tensor in tensors])


def _forms(answer: dict[str, Any]) -> dict[str, bool]:
    """Say which outputs are in binary form."""
    return {o["name"]: "binary_data_size" in (o.get("parameters") or {}) for o in answer["outputs"]}


@extension("binary inputs are taken", BINARY, "Binary Tensor Data")
def _(subject: Subject) -> None:
    answer = subject.read(subject.infer_binary(*_binary(subject)))
    want(not any(_forms(answer).values()), "outputs are binary that nobody asked to be")


@extension("all outputs are binary where the request says so", BINARY, "Binary Tensor Data")
def _(subject: Subject) -> None:
    request, tensors = _binary(subject, parameters={"binary_data_output": True})
    answer = subject.read(subject.infer_binary(request, tensors))
    want(all(_forms(answer).values()), "not all outputs are binary")


@extension("an output that says so is binary, another is not", BINARY, "Binary Tensor Data")
def _(subject: Subject) -> None:
    names = list(_forms(subject.read(subject.infer_binary(*_binary(subject)))))
    wanted = {name: place % 2 == 0 for place, name in enumerate(names)}
    outputs = [{"name": name, "parameters": {"binary_data": binary}} for name, binary in wanted.items()]
    request, tensors = _binary(subject, outputs=outputs, parameters={"binary_data_output": False})
    found = _forms(subject.read(subject.infer_binary(request, tensors)))
    want(found == wanted, f"asked for {wanted}, got {found}")


@extension("JSON and binary inputs may be mixed", BINARY, "Binary Tensor Data")
def _(subject: Subject) -> None:
    first, *others = subject.tensors
    if not others or first.datatype == "BF16":
        raise Skipped("the model has one input")
    request = {"inputs": [first.flat, *[tensor.binary for tensor in others]]}
    subject.read(subject.infer_binary(request, b"".join([tensor.raw for tensor in others])))


@extension("a raw body is the one input", BINARY, "Binary Tensor Data, Raw Binary Request")
def _(subject: Subject) -> None:
    if len(subject.tensors) > 1 or subject.metadata["inputs"][0]["shape"].count(-1) > 1:
        raise Skipped("the model has more than one input or variable dimension")
    (tensor,) = subject.tensors
    body = tensor.raw if tensor.datatype != "BYTES" else b"a"
    answer = subject.read(subject.infer_binary(None, body))
    want(all(_forms(answer).values()), "the outputs are not all binary")


@extension("binary data that is cut off is refused", BINARY, "Binary Tensor Data")
def _(subject: Subject) -> None:
    request, tensors = _binary(subject)
    want_error(subject.infer_binary(request, tensors[:-1]))


@extension("binary data that is too long is refused", BINARY, "Binary Tensor Data")
def _(subject: Subject) -> None:
    request, tensors = _binary(subject)
    want_error(subject.infer_binary(request, tensors + b"\0"))


@extension("binary data that does not give its shape is refused", BINARY, "Binary Tensor Data")
def _(subject: Subject) -> None:
    request, tensors = _binary(subject)
    last = request["inputs"][-1]["parameters"]
    last["binary_data_size"] += 1
    want_error(subject.infer_binary(request, tensors + b"\0"))


@extension("a length of the JSON that is no number is refused", BINARY, "Binary Tensor Data")
def _(subject: Subject) -> None:
    headers = {"Inference-Header-Content-Length": "-7"}
    want_error(subject.asking.ask("POST", f"{subject.path}/infer", b"{}", headers))


@extension("a length of the JSON that is beyond the body is refused", BINARY, "Binary Tensor Data")
def _(subject: Subject) -> None:
    request, tensors = _binary(subject)
    want_error(subject.infer_binary(request, tensors, length=10**6 + len(tensors)))


@extension("the index has the model", REPOSITORY, "Model Repository, Index")
def _(subject: Subject) -> None:
    index = want_ok(subject.asking.post("/v2/repository/index", {}))
    want(isinstance(index, list) and all(isinstance(entry, dict) for entry in index), f"the index is {index!r}")
    mine = [entry for entry in index if entry.get("name") == subject.model]
    want(mine, "the model is not in the index")
    want(any(entry.get("state") == "READY" for entry in mine), f"the model's state is {mine[0].get('state')!r}")


@extension("a model that is not there cannot be loaded", REPOSITORY, "Model Repository, Load")
def _(subject: Subject) -> None:
    want_error(subject.asking.post(f"/v2/repository/models/{NOBODY}/load", {}))


@extension("the statistics are of the model", STATISTICS, "Statistics")
def _(subject: Subject) -> None:
    _statistics(subject)


@extension("a request is counted", STATISTICS, "Statistics")
def _(subject: Subject) -> None:
    before = _statistics(subject)
    request, tensors = _binary(subject) if BINARY in subject.extensions else (subject.request, b"")
    subject.read(subject.infer_binary(request, tensors) if tensors else subject.infer(request))
    after = _statistics(subject)
    want(after > before, f"{before} requests had succeeded, and after one more {after}")


@extension("the statistics of a model that is not there are an error", STATISTICS, "Statistics")
def _(subject: Subject) -> None:
    want_error(subject.asking.get(f"{model_path(NOBODY)}/stats"))


def _statistics(subject: Subject) -> int:
    """Give how many requests have succeeded."""
    told = want_ok(subject.asking.get(f"{subject.path}/stats"))
    stats: list[dict[str, Any]] = told.get("model_stats") or []
    want(stats, "`model_stats` is not a list with something in it")
    want(stats[0].get("name") == subject.model, f"`name` is {stats[0].get('name')!r}")
    for what in ("success", "fail", "queue", "compute_infer"):
        duration = stats[0].get("inference_stats", {}).get(what)
        whole = isinstance(duration, dict) and all(isinstance(duration.get(key), int) for key in ("count", "ns"))
        want(whole, f"`inference_stats.{what}` is {duration!r}")
    return int(stats[0]["inference_stats"]["success"]["count"])
