"""Inference requests and answers of the Open Inference Protocol v2, in JSON."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from tiffin_serve.protocol.call import Call, Tensor, make_call
from tiffin_serve.protocol.datatypes import DATATYPES, Datatype, accepts
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensors import explain, read_json

Size = Annotated[int, msgspec.Meta(ge=0)]
MAX_RANK = 32
OF_THE_PROTOCOL = {"binary_data_output", "binary_data", "binary_data_size", "classification", "timeout"}
"""Request parameters that speak to the server, not to the model."""


class InferInput(msgspec.Struct, gc=False):
    """One input tensor of a request; its data stays JSON until its datatype is known."""

    name: str
    shape: Annotated[list[Size], msgspec.Meta(max_length=MAX_RANK)]
    datatype: str
    data: msgspec.Raw
    parameters: dict[str, Any] | None = None


class WantedOutput(msgspec.Struct, gc=False):
    """An output the client asks for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct, gc=False):
    """An inference request, checked in form but not yet against a model."""

    inputs: Annotated[list[InferInput], msgspec.Meta(min_length=1)]
    id: str | None = None
    outputs: list[WantedOutput] | None = None
    parameters: dict[str, Any] | None = None


class InferOutput(msgspec.Struct, omit_defaults=True):
    """One output tensor of an answer, its data flat and row-major."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: list[Any]
    parameters: dict[str, Any] | None = None


class InferAnswer(msgspec.Struct, omit_defaults=True):
    """The answer to an inference request."""

    model_name: str
    model_version: str
    outputs: list[InferOutput]
    id: str | None = None


_decoder = msgspec.json.Decoder(InferRequest)


def read_request(body: bytes) -> InferRequest:
    """Read a request; raises RequestError that names the field."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise RequestError(explain(error, "request")) from error


def bind(request: InferRequest, signature: Signature) -> Call:
    """Hold a request against the model's signature and make the call of it; raises RequestError."""
    outputs = tuple([output.name for output in request.outputs or ()])
    known = {spec.name for spec in signature.outputs}
    for name in outputs:
        if known and name not in known:
            raise RequestError(f"unknown output '{name}'; the model gives {_names(known)}")
    tensors = _read_inputs(request.inputs, signature)
    if signature.batches and 0 in {tensor.shape[0] for tensor in tensors}:
        raise RequestError("the request has no rows")
    return make_call(tensors, batches=signature.batches, outputs=outputs, parameters=_for_the_model(request.parameters))


def _for_the_model(parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    return {key: value for key, value in parameters.items() if key not in OF_THE_PROTOCOL} if parameters else None


def _read_inputs(inputs: list[InferInput], signature: Signature) -> tuple[Tensor, ...]:
    if not signature.inputs:
        return tuple([_read_free(item) for item in inputs])
    if len(inputs) == 1 == len(signature.inputs) and inputs[0].name == signature.inputs[0].name:
        return (_read(inputs[0], signature.inputs[0]),)
    sent = _by_name(inputs)
    if len(signature.inputs) == 1 and sent.keys() == set(signature.columns):
        return (_read_columns(sent, signature),)
    wanted = [spec.name for spec in signature.inputs]
    for name in sent:
        if name not in wanted:
            raise RequestError(f"unknown input '{name}'; the model takes {_names(wanted)}")
    for name in wanted:
        if name not in sent:
            raise RequestError(f"input '{name}' is missing; the model takes {_names(wanted)}")
    return tuple([_read(sent[spec.name], spec) for spec in signature.inputs])


def _by_name(inputs: list[InferInput]) -> dict[str, InferInput]:
    named = {item.name: item for item in inputs}
    if len(named) != len(inputs):
        twice = next(item.name for position, item in enumerate(inputs) if named[item.name] is not inputs[position])
        raise RequestError(f"input '{twice}' is given twice")
    return named


def _names(names: Sequence[str] | set[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)[:20])


def _datatype(item: InferInput) -> Datatype:
    datatype = DATATYPES.get(item.datatype)
    if datatype is None:
        raise RequestError(f"input '{item.name}': unknown datatype '{item.datatype}'")
    return datatype


def _read(item: InferInput, spec: TensorSpec) -> Tensor:
    sent, wanted = _datatype(item), DATATYPES[spec.datatype]
    if not accepts(wanted, sent):
        raise RequestError(f"input '{item.name}': datatype must be {wanted.name}, not {sent.name}")
    shape = tuple(item.shape)
    fitted = spec.fit(shape)
    return Tensor(spec.name, wanted.name, fitted, read_json(item.data, sent, wanted, shape, f"input '{item.name}'"))


def _read_free(item: InferInput) -> Tensor:
    datatype, shape = _datatype(item), tuple(item.shape)
    return Tensor(
        item.name, datatype.name, shape, read_json(item.data, datatype, datatype, shape, f"input '{item.name}'")
    )


def _read_columns(sent: dict[str, InferInput], signature: Signature) -> Tensor:
    """Weave one tensor a column into the model's single matrix."""
    (matrix,) = signature.inputs
    columns = [_read(sent[name], TensorSpec(name, matrix.datatype, (-1, 1))) for name in signature.columns]
    rows = columns[0].shape[0]
    for column in columns:
        if column.shape[0] != rows:
            raise RequestError(f"input '{column.name}' has {column.shape[0]} rows, '{columns[0].name}' has {rows}")
    code = DATATYPES[matrix.datatype].code
    woven = array(code, bytes(sum(len(column.data) for column in columns)))
    for position, column in enumerate(columns):
        woven[position :: len(columns)] = array(code, column.data)
    return Tensor(matrix.name, matrix.datatype, (rows, len(columns)), woven.tobytes())
