"""TensorFlow Serving's REST predict API: rows (`instances`) or tensors (`inputs`), bytes as `{"b64": ...}`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.columnar import bind_columns, bind_instances
from tiffin_serve.protocol.datatypes import DATATYPES, Kind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensors import explain, nest, unpack

FORMS = 'send {"instances": [...]} or {"inputs": {"name": [...]}}'
DTYPES = {
    "BOOL": "DT_BOOL",
    "FP16": "DT_HALF",
    "BF16": "DT_BFLOAT16",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
    "BYTES": "DT_STRING",
    **{f"{sign}INT{bits}": f"DT_{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
}


class PredictRequest(msgspec.Struct):
    """What a client sends; keys of other servers are let pass."""

    instances: Any = None
    inputs: Any = None
    signature_name: str = ""
    parameters: dict[str, Any] | None = None


def read_predict(body: bytes) -> PredictRequest:
    """Read a request; raises RequestError."""
    try:
        request = msgspec.json.decode(body, type=PredictRequest)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise RequestError(f"{explain(error, 'request')}; {FORMS}") from error
    if (request.instances is None) == (request.inputs is None):
        raise RequestError(f"request: needs either `instances` or `inputs`; {FORMS}")
    if request.signature_name not in {"", "serving_default", "predict"}:
        raise RequestError(
            f"request.signature_name: '{request.signature_name}' is not there, only serving_default", 404
        )
    return request


def bind_predict(request: PredictRequest, signature: Signature) -> Call:
    """Hold a request against the model's signature and make the call of it; raises RequestError."""
    if request.inputs is None:
        return bind_instances(request.instances, signature, "instances", request.parameters)
    return bind_columns(request.inputs, signature, "inputs", request.parameters)


def by_row(outputs: Sequence[Output]) -> dict[str, Any]:
    """Write predictions a row: values of the one output, or objects by the outputs' names; raises RequestError."""
    rows = {output.shape[:1] for output in outputs}
    if len(rows) != 1 or rows == {()}:
        raise RequestError('the outputs have no rows in common; send {"inputs": ...} to have them as tensors')
    values = {output.name: values_of(output) for output in outputs}
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    return {"predictions": [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]}


def by_tensor(outputs: Sequence[Output]) -> dict[str, Any]:
    """Write whole tensors: the one output's values, or an object by the outputs' names."""
    values = {output.name: values_of(output) for output in outputs}
    return {"outputs": next(iter(values.values())) if len(values) == 1 else values}


def values_of(output: Output) -> Any:
    """Give nested values; bytes that are no text, and outputs named `..._bytes`, become `{"b64": ...}`."""
    datatype = DATATYPES[output.datatype]
    flat = unpack(output.data, datatype)
    if datatype.kind is Kind.TEXT:
        flat = _texts(flat, always=output.name.endswith("_bytes"))
    return nest(flat, output.shape) if output.shape else flat[0]


def _texts(values: list[bytes], *, always: bool) -> list[Any]:
    if not always:
        try:
            return [value.decode() for value in values]
        except UnicodeDecodeError:
            pass
    return [{"b64": base64.b64encode(value).decode()} for value in values]


def status(version: str, unready: str) -> dict[str, Any]:
    """Say whether the one version of the model is there."""
    state = "UNAVAILABLE" if unready else "AVAILABLE"
    told = {"error_code": "UNAVAILABLE" if unready else "OK", "error_message": unready}
    return {"model_version_status": [{"version": version, "state": state, "status": told}]}


def metadata(name: str, version: str, signature: Signature) -> dict[str, Any]:
    """Write the signature as a SignatureDef."""
    definition = {
        "inputs": {spec.name: _tensor_info(spec) for spec in signature.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": {"serving_default": definition}}},
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    shape = {"dim": [{"size": str(size), "name": ""} for size in spec.shape], "unknown_rank": False}
    return {"dtype": DTYPES[spec.datatype], "tensor_shape": shape, "name": f"{spec.name}:0"}
