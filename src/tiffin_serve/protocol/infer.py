"""Inference requests of the Open Inference Protocol v2, in JSON and with binary tensors behind it.

Binary tensors: Triton's binary tensor data extension. The header `Inference-Header-Content-Length` says how much of the
body is JSON; behind it stand the tensors whose parameter `binary_data_size` says how many bytes are theirs. Where the
header is 0 there is no JSON: the body is the one input of the model.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Any

import msgspec

from tiffin_serve.protocol.binding import by_name, check_output, datatype_of, match
from tiffin_serve.protocol.call import Buffer, Call, Tensor, make_call
from tiffin_serve.protocol.datatypes import DATATYPES, Datatype, Kind, accepts
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.raw import from_base64, read_raw
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensors import explain, join_bytes, read_json

Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
MAX_RANK = 32
LONGEST_NUMBER = 19
OF_THE_PROTOCOL = {"binary_data_output", "content_type", "headers", "timeout"}
"""Request parameters that speak to the server, not to the model."""
NOT_SPOKEN = ("classification", "shared_memory_region")
"""What a tensor's parameters may ask of Triton."""
NO_DATA = msgspec.Raw()
RAW: dict[str, Any] = {}
"""The parameters of an input whose data is raw elements: this very object, which no client can send."""


class InferInput(msgspec.Struct, gc=False):
    """One input tensor of a request; its data stays as it came until its datatype is known.

    It is JSON, or raw elements where the parameters are `RAW`.
    """

    name: str
    shape: Annotated[tuple[Size, ...], msgspec.Meta(max_length=MAX_RANK)]
    datatype: str
    data: msgspec.Raw = NO_DATA
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


_decoder = msgspec.json.Decoder(InferRequest)


def read_request(body: Buffer) -> InferRequest:
    """Read a request that is JSON alone; raises RequestError that names the field."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise RequestError(explain(error, "request")) from error


def read_mixed(body: bytes, header: bytes, signature: Signature) -> InferRequest:
    """Read a request whose body is JSON of the length that the header says, and then raw tensors.

    A length of 0 is a body that is one raw tensor, and every output is wanted in binary form. The tensors are not
    copied. Raises RequestError.
    """
    if not header.isascii() or not header.isdigit() or len(header) > LONGEST_NUMBER:
        raise RequestError("the header Inference-Header-Content-Length must be a number of bytes")
    length = int(header)
    if length == 0:
        return _whole_body(body, signature)
    if length > len(body):
        raise RequestError(f"Inference-Header-Content-Length says {length} bytes, but the body has {len(body)}")
    view = memoryview(body)
    request = read_request(view[:length])
    rest = view[length:]
    for item in request.inputs:
        if item.parameters and "binary_data_size" in item.parameters:
            rest = _cut(item, item.parameters["binary_data_size"], rest)
    if len(rest):
        raise RequestError(f"the body has {len(rest)} bytes more than its tensors")
    return request


def _cut(item: InferInput, size: Any, rest: memoryview) -> memoryview:
    """Give an input its bytes; returns what is left."""
    field = f"input '{item.name}'"
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise RequestError(f"{field}: the parameter `binary_data_size` must be a number of bytes")
    if item.data is not NO_DATA:
        raise RequestError(f"{field}: has both `data` and binary data")
    if size > len(rest):
        raise RequestError(f"{field}: the body ends {size - len(rest)} bytes before its binary data does")
    _refuse_unspoken("input", item.name, item.parameters)
    item.data, item.parameters = msgspec.Raw(rest[:size]), RAW
    return rest[size:]


def _whole_body(body: bytes, signature: Signature) -> InferRequest:
    """Take a body as the model's one input: a single row, unless the first dimension is the only one not known."""
    if len(signature.inputs) != 1:
        raise RequestError(f"a raw body is one input, but the model takes {len(signature.inputs) or 'any'}")
    (spec,) = signature.inputs
    datatype = DATATYPES[spec.datatype]
    if datatype.kind is Kind.TEXT:
        body, count = join_bytes([body]), 1
    else:
        count, odd = divmod(len(body), datatype.size)
        if odd:
            raise RequestError(f"input '{spec.name}': {len(body)} bytes are not whole {spec.datatype} values")
    item = InferInput(spec.name, _fill(spec, count), spec.datatype, msgspec.Raw(body), RAW)
    return InferRequest([item], parameters={"binary_data_output": True})


def _fill(spec: TensorSpec, count: int) -> tuple[int, ...]:
    """Give the shape that so many values have; raises RequestError where there is more than one such shape or none."""
    shape = list(spec.shape)
    if shape.count(-1) == 2 and shape[0] == -1:  # noqa: PLR2004 - one row, and one length that the values give
        shape[0] = 1
    known = prod(size for size in shape if size != -1)
    if shape.count(-1) > 1 or not known or count % known or (-1 not in shape and count != known):
        raise RequestError(
            f"input '{spec.name}': {count} values do not give the shape {list(spec.shape)}; send JSON before it"
        )
    return tuple([count // known if size == -1 else size for size in shape])


def bind(request: InferRequest, signature: Signature) -> Call:
    """Hold a request against the model's signature and make the call of it; raises RequestError."""
    outputs = _read_outputs(request.outputs, signature) if request.outputs else ()
    tensors = _read_inputs(request.inputs, signature)
    if signature.batches and (0,) in [tensor.shape[:1] for tensor in tensors]:
        raise RequestError("the request has no rows")
    return make_call(tensors, batches=signature.batches, outputs=outputs, parameters=_for_the_model(request.parameters))


def _for_the_model(parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    return {key: value for key, value in parameters.items() if key not in OF_THE_PROTOCOL} if parameters else None


def _read_outputs(wanted: list[WantedOutput], signature: Signature) -> tuple[str, ...]:
    for output in wanted:
        check_output(output.name, signature)
        _refuse_unspoken("output", output.name, output.parameters)
    return tuple([output.name for output in wanted])


def _refuse_unspoken(what: str, name: str, parameters: dict[str, Any] | None) -> None:
    for parameter in NOT_SPOKEN if parameters else ():
        if parameter in (parameters or ()):
            raise RequestError(f"{what} '{name}': the parameter `{parameter}` is not spoken here")


def _read_inputs(inputs: list[InferInput], signature: Signature) -> tuple[Tensor, ...]:
    if not signature.inputs:
        return tuple([_read_free(item) for item in inputs])
    if len(inputs) == 1 == len(signature.inputs) and inputs[0].name == signature.inputs[0].name:
        return (_read_input(inputs[0], signature.inputs[0]),)
    return match(by_name(inputs), signature, _read_input)


def _read_input(item: InferInput, spec: TensorSpec) -> Tensor:
    sent, wanted = datatype_of(item), DATATYPES[spec.datatype]
    if not accepts(wanted, sent):
        raise RequestError(f"input '{item.name}': datatype must be {wanted.name}, not {sent.name}")
    return Tensor(spec.name, wanted.name, spec.fit(item.shape), _read_data(item, sent, wanted))


def _read_free(item: InferInput) -> Tensor:
    datatype = datatype_of(item)
    return Tensor(item.name, datatype.name, item.shape, _read_data(item, datatype, datatype))


def _read_data(item: InferInput, sent: Datatype, wanted: Datatype) -> Buffer:
    shape, field = item.shape, f"input '{item.name}'"
    if item.parameters is RAW:
        return read_raw(memoryview(item.data), sent, wanted, shape, field)
    if item.parameters:
        _refuse_unspoken("input", item.name, item.parameters)
        if "binary_data_size" in item.parameters:
            raise RequestError(f"{field}: binary data needs the header Inference-Header-Content-Length")
    if item.data is NO_DATA:
        raise RequestError(f"{field}: has no `data`")
    data = read_json(item.data, sent, wanted, shape, field)
    if item.parameters and wanted.kind is Kind.TEXT and item.parameters.get("content_type") == "base64":
        return from_base64(data, field)
    return data
