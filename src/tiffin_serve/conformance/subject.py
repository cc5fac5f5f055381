"""The server that is held against the protocol, and what has been learned of it."""

from __future__ import annotations

import json
from functools import cached_property
from math import prod
from typing import Any

from tiffin_serve.conformance.asking import Answer, Asking, Failed, Skipped, model_path, want, want_ok
from tiffin_serve.conformance.samples import SIZES, Tensor, sample

JSON_TYPES: dict[str, tuple[type, ...]] = {"BOOL": (bool,), "BYTES": (str,)}
LENGTH = "inference-header-content-length"


class Subject:
    """A server and one of its models; what is learned is asked for once, by the first check that needs it."""

    def __init__(self, asking: Asking, model: str) -> None:
        self.asking = asking
        self.model = model
        self.path = model_path(model)

    @cached_property
    def extensions(self) -> list[str]:
        """Give what the server says that it has."""
        told = want_ok(self.asking.get("/v2")).get("extensions")
        return told if isinstance(told, list) else []

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Give the model's metadata, as far as checks depend on it."""
        told = want_ok(self.asking.get(self.path))
        want(isinstance(told, dict), "the metadata is not an object")
        for side in ("inputs", "outputs"):
            want(isinstance(told.get(side), list), f"`{side}` is not a list")
            for spec in told[side]:
                _want_spec(spec, side)
        return dict(told)

    @cached_property
    def version(self) -> str:
        """Give a version of the model, or skip: they are optional."""
        versions = self.metadata.get("versions")
        if not versions:
            raise Skipped("the metadata has no versions")
        return str(versions[-1])

    @cached_property
    def tensors(self) -> list[Tensor]:
        """Give inputs for one row."""
        if not self.metadata["inputs"]:
            raise Skipped("the metadata has no inputs, so no request can be made")
        return sample(self.metadata["inputs"])

    @property
    def request(self) -> dict[str, Any]:
        """Give a request that is right, anew, so that a check may spoil it."""
        if any(tensor.datatype == "BF16" for tensor in self.tensors):
            raise Skipped("the model takes BF16, which JSON has not")
        document: dict[str, Any] = json.loads(json.dumps({"inputs": [tensor.flat for tensor in self.tensors]}))
        return document

    def infer(self, document: Any, version: str = "") -> Answer:
        """Send a request in JSON."""
        return self.asking.post(f"{model_path(self.model, version)}/infer", document)

    def infer_binary(self, document: Any, tensors: bytes, length: int | None = None) -> Answer:
        """Send a request with tensors behind its JSON."""
        head = json.dumps(document).encode() if document is not None else b""
        headers = {"Content-Type": "application/octet-stream"}
        headers["Inference-Header-Content-Length"] = str(len(head) if length is None else length)
        return self.asking.ask("POST", f"{self.path}/infer", head + tensors, headers)

    @cached_property
    def answer(self) -> dict[str, Any]:
        """Give the answer to the request that is right."""
        return self.read(self.infer(self.request))

    def read(self, answer: Answer) -> dict[str, Any]:
        """Want an inference response of the protocol's form; returns it with the binary tensors cut out."""
        want(answer.status == 200, f"answered {answer.status}: {answer.shown}")  # noqa: PLR2004 - HTTP's number
        length = answer.headers.get(LENGTH, str(len(answer.body)))
        want(length.isdigit() and int(length) <= len(answer.body), f"{LENGTH} is {length} of {len(answer.body)} bytes")
        head, rest = answer.body[: int(length)], answer.body[int(length) :]
        document = Answer(answer.status, answer.headers, head).json()
        want(isinstance(document, dict), "the answer is not an object")
        want(document.get("model_name") == self.model, f"`model_name` is {document.get('model_name')!r}")
        outputs = document.get("outputs")
        want(isinstance(outputs, list) and outputs, "`outputs` is not a list with something in it")
        for output in outputs:
            rest = _want_output(output, rest)
        want(not rest, f"{len(rest)} bytes follow the last tensor")
        return dict(document)


def _want_spec(spec: Any, side: str) -> None:
    want(isinstance(spec, dict) and isinstance(spec.get("name"), str), f"one of `{side}` has no name")
    name, shape = spec["name"], spec.get("shape")
    want(spec.get("datatype") in SIZES, f"'{name}' has the datatype {spec.get('datatype')!r}")
    whole = isinstance(shape, list) and all(isinstance(n, int) and n >= -1 for n in shape)
    want(whole, f"'{name}' has the shape {shape!r}")


def _want_output(output: Any, rest: bytes) -> bytes:
    want(isinstance(output, dict), "an output is not an object")
    _want_spec(output, "outputs")
    name, count = output["name"], prod(output["shape"])
    size = (output.get("parameters") or {}).get("binary_data_size")
    if size is None:
        data = flatten(output.get("data"))
        want(len(data) == count, f"output '{name}' has {len(data)} values for the shape {output['shape']}")
        types = JSON_TYPES.get(output["datatype"], (int, float))
        fit = all(
            value is None or (isinstance(value, types) and (bool in types or value is not True)) for value in data
        )
        want(fit, f"output '{name}' has values that are not {output['datatype']}")
        return rest
    want("data" not in output, f"output '{name}' has both `data` and binary data")
    want(isinstance(size, int) and 0 <= size <= len(rest), f"output '{name}' says {size!r} of {len(rest)} bytes")
    width = SIZES[output["datatype"]]
    want(not width or size == count * width, f"output '{name}' has {size} bytes for the shape {output['shape']}")
    return rest[size:]


def flatten(data: Any) -> list[Any]:
    """Give the values of nested lists."""
    if not isinstance(data, list):
        raise Failed("an output has no list `data`")
    flat: list[Any] = []
    for item in data:
        flat += flatten(item) if isinstance(item, list) else [item]
    return flat
