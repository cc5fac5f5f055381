"""From a ModelInferRequest to a call of the model, and from its outputs to a ModelInferResponse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from tiffin_serve.front.rpc.inference_pb2 import ModelInferRequest, ModelInferResponse
from tiffin_serve.front.rpc.tensors import (
    CONTENTS,
    convert,
    read_contents,
    read_raw,
    read_shape,
    write_contents,
)
from tiffin_serve.protocol.binding import by_name, check_output, datatype_of, match
from tiffin_serve.protocol.call import Call, Tensor, make_call
from tiffin_serve.protocol.datatypes import DATATYPES, accepts
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import OF_THE_PROTOCOL
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.service import Service
from tiffin_serve.protocol.signature import Signature, TensorSpec

M = TypeVar("M")
OF_TRITON = {"triton_enable_empty_final_response"}
"""A request parameter that speaks to the server, not to the model."""


def parse(message: type[M], data: bytes) -> M:
    """Read a message; raises RequestError that names it."""
    try:
        read: M = message.FromString(data)  # type: ignore[attr-defined] # every message has it
    except DecodeError as error:
        raise RequestError(f"the message is not a {message.__name__}: {error}") from error
    return read


def read_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Give plain values; a parameter that is set to nothing is left out."""
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in parameters.items()}
    return {name: getattr(parameters[name], choice) for name, choice in chosen.items() if choice is not None}


def bind(request: ModelInferRequest, signature: Signature, *, stream: bool = False) -> Call:
    """Hold a request against the model's signature and make the call of it; raises RequestError."""
    outputs = tuple([output.name for output in request.outputs])
    for name in outputs:
        check_output(name, signature)
    tensors = _bind_inputs(_read_inputs(request), signature)
    if signature.batches and (0,) in {tensor.shape[:1] for tensor in tensors}:
        raise RequestError("the request has no rows")
    parameters = read_parameters(request.parameters) if request.parameters else {}
    own = {name: value for name, value in parameters.items() if name not in OF_THE_PROTOCOL | OF_TRITON}
    return make_call(tensors, batches=signature.batches, outputs=outputs, parameters=own, stream=stream)


def _read_inputs(request: ModelInferRequest) -> list[Tensor]:
    """Read the tensors as they were sent: raw entries for all of them, or typed contents in all of them."""
    inputs, raw = request.inputs, request.raw_input_contents
    if not inputs:
        raise RequestError("the request has no inputs")
    if not raw:
        return [_read_typed(item) for item in inputs]
    if len(raw) != len(inputs):
        raise RequestError(f"raw_input_contents has {len(raw)} entries for {len(inputs)} inputs")
    # MLServer's client sends contents, too, but with nothing in them.
    both = next((item.name for item in inputs if item.HasField("contents") and item.contents.ListFields()), None)
    if both is not None:
        raise RequestError(f"input '{both}' has contents although raw_input_contents are given; send one of them")
    return [_read_raw(item, data) for item, data in zip(inputs, raw, strict=True)]


def _read_typed(item: Any) -> Tensor:
    field = f"input '{item.name}'"
    datatype, shape = datatype_of(item), read_shape(item, field)
    return Tensor(item.name, datatype.name, shape, read_contents(item, datatype, shape, field))


def _read_raw(item: Any, data: bytes) -> Tensor:
    field = f"input '{item.name}'"
    datatype, shape = datatype_of(item), read_shape(item, field)
    return Tensor(item.name, datatype.name, shape, read_raw(data, datatype, shape, field))


def _bind_inputs(inputs: list[Tensor], signature: Signature) -> tuple[Tensor, ...]:
    sent = by_name(inputs)
    return match(sent, signature, _fit) if signature.inputs else tuple(inputs)


def _fit(tensor: Tensor, spec: TensorSpec) -> Tensor:
    sent, wanted = DATATYPES[tensor.datatype], DATATYPES[spec.datatype]
    if not accepts(wanted, sent):
        raise RequestError(f"input '{tensor.name}': datatype must be {wanted.name}, not {sent.name}")
    shape = spec.fit(tensor.shape)
    return Tensor(spec.name, wanted.name, shape, convert(bytes(tensor.data), sent, wanted, f"input '{tensor.name}'"))


def respond(request: ModelInferRequest, service: Service, outputs: Sequence[Output]) -> ModelInferResponse:
    """Answer in the form of the request: raw to raw, typed to typed, unless an output has no typed form."""
    response = ModelInferResponse(model_name=service.name, model_version=service.version, id=request.id)
    raw = bool(request.raw_input_contents) or any(output.datatype not in CONTENTS for output in outputs)
    for output in outputs:
        tensor = response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        if raw:
            response.raw_output_contents.append(bytes(output.data))
        else:
            write_contents(tensor.contents, output)
    return response
