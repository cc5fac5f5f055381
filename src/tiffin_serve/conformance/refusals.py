"""Requests that must be refused, each beside the right one that it was made of."""

from __future__ import annotations

import json
from typing import Any

from tiffin_serve.conformance.asking import Skipped, model_path, want, want_error
from tiffin_serve.conformance.checks import NOBODY, bad, check
from tiffin_serve.conformance.subject import Subject

ERRORS = "Inference Response Errors"
REQUEST = "Inference Request JSON Object"
TENSOR = "Request Input"
DATA = "Tensor Data"

Document = dict[str, Any]


def _change(request: Document, **fields: Any) -> Document:
    """Change fields of the first input; None removes one."""
    first = {**request["inputs"][0], **fields}
    first = {key: value for key, value in first.items() if value is not None}
    return {**request, "inputs": [first, *request["inputs"][1:]]}


@bad("an empty body is refused", ERRORS)
def _(request: Document) -> bytes:
    del request
    return b""


@bad("a body that is no JSON is refused", ERRORS)
def _(request: Document) -> bytes:
    del request
    return b"hello"


@bad("JSON that is cut off is refused", ERRORS)
def _(request: Document) -> bytes:
    return json.dumps(request).encode()[:-2]


@bad("JSON that is nested too deep is refused", ERRORS)
def _(request: Document) -> bytes:
    del request
    return b'{"inputs":' + b"[" * 20_000


@bad("a list in place of the request is refused", REQUEST)
def _(request: Document) -> Any:
    return [request]


@bad("a request without inputs is refused", REQUEST)
def _(request: Document) -> Document:
    del request
    return {"id": "x"}


@bad("an empty list of inputs is refused", REQUEST)
def _(request: Document) -> Document:
    return {**request, "inputs": []}


@bad("an input without a name is refused", TENSOR)
def _(request: Document) -> Document:
    return _change(request, name=None)


@bad("an input without a shape is refused", TENSOR)
def _(request: Document) -> Document:
    return _change(request, shape=None)


@bad("an input without a datatype is refused", TENSOR)
def _(request: Document) -> Document:
    return _change(request, datatype=None)


@bad("an input without data is refused", TENSOR)
def _(request: Document) -> Document:
    return _change(request, data=None)


@bad("an input of an unknown datatype is refused", "Tensor Data Types")
def _(request: Document) -> Document:
    return _change(request, datatype="FP65")


@bad("an input of another datatype than the model's is refused", "Tensor Data Types")
def _(request: Document) -> Document:
    first = request["inputs"][0]
    if first["datatype"] == "BYTES":
        return _change(request, datatype="BOOL", data=[True] * len(first["data"]))
    return _change(request, datatype="BYTES", data=["a"] * len(first["data"]))


@bad("an unknown input is refused", TENSOR)
def _(request: Document) -> Document:
    return {**request, "inputs": [*request["inputs"], {**request["inputs"][0], "name": "no-such-input"}]}


@bad("a missing input is refused", TENSOR)
def _(request: Document) -> Document:
    if len(request["inputs"]) == 1:
        raise Skipped("the model has one input")
    return {**request, "inputs": request["inputs"][1:]}


@bad("an input that is given twice is refused", TENSOR)
def _(request: Document) -> Document:
    return {**request, "inputs": [request["inputs"][0], *request["inputs"]]}


@bad("a negative dimension is refused", TENSOR)
def _(request: Document) -> Document:
    return _change(request, shape=[-1, *request["inputs"][0]["shape"][1:]])


@bad("a shape that is not of numbers is refused", TENSOR)
def _(request: Document) -> Document:
    return _change(request, shape=[str(size) for size in request["inputs"][0]["shape"]] or ["1"])


@bad("a shape of another rank is refused", TENSOR)
def _(request: Document) -> Document:
    return _change(request, shape=[1, 1, 1, *request["inputs"][0]["shape"]])


@bad("an enormous shape is refused", TENSOR)
def _(request: Document) -> Document:
    return _change(request, shape=[10**12, *request["inputs"][0]["shape"][1:]])


@bad("fewer values than the shape needs are refused", DATA)
def _(request: Document) -> Document:
    return _change(request, data=request["inputs"][0]["data"][:-1])


@bad("more values than the shape needs are refused", DATA)
def _(request: Document) -> Document:
    data = request["inputs"][0]["data"]
    return _change(request, data=[*data, data[0]])


@bad("data that is no list is refused", DATA)
def _(request: Document) -> Document:
    return _change(request, data={"a": 1})


@bad("a value of another type than the datatype's is refused", DATA)
def _(request: Document) -> Document:
    first = request["inputs"][0]
    return _change(request, data=[7 if first["datatype"] == "BYTES" else "seven", *first["data"][1:]])


@bad("a number that the datatype does not hold is refused", "Tensor Data Types")
def _(request: Document) -> Document:
    first = request["inputs"][0]
    if not first["datatype"].startswith(("INT", "UINT")):
        raise Skipped("the first input is not of whole numbers")
    return _change(request, data=[2**70, *first["data"][1:]])


@bad("an unknown output is refused", "Request Output")
def _(request: Document) -> Document:
    return {**request, "outputs": [{"name": "no-such-output"}]}


@bad("an id that is no text is refused", REQUEST)
def _(request: Document) -> Document:
    return {**request, "id": {"a": 1}}


@check("a request for a model that is not there is refused", "Inference")
def _(subject: Subject) -> None:
    want_error(subject.asking.post(f"{model_path(NOBODY)}/infer", subject.request))


@check("a request for a version that is not there is refused", "Inference")
def _(subject: Subject) -> None:
    want_error(subject.infer(subject.request, f"{subject.version}0000"))


@check("a path that is not there is an error", ERRORS)
def _(subject: Subject) -> None:
    want_error(subject.asking.get("/v2/no-such-path"))


@check("a wrong method is an error", ERRORS)
def _(subject: Subject) -> None:
    want_error(subject.asking.get(f"{subject.path}/infer"))


@check("after all that the right request is still answered", "Inference")
def _(subject: Subject) -> None:
    answer = subject.read(subject.infer(subject.request))
    want(len(answer["outputs"]) == len(subject.answer["outputs"]), "the outputs are others than before")
