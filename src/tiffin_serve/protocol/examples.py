"""Example requests: values that a model takes, from a check's request, the training data, or its signature alone."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import msgspec

from tiffin_serve.protocol.baseline import Baseline
from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.datatypes import DATATYPES, Kind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import bind, read_request
from tiffin_serve.protocol.outputs import InferOutput, Output, as_json
from tiffin_serve.protocol.rows import bind_rows, read_rows
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensors import nest

MOST = 1024
"""Values up to which a tensor is written out in an example; a picture would only hide what is around it."""
UNKNOWN_LENGTH = 2
DIGITS = 4
_PLAIN: dict[Kind, Any] = {Kind.BOOL: True, Kind.INT: 1, Kind.FLOAT: 1.0, Kind.TEXT: "text"}


def from_check(body: bytes, signature: Signature) -> list[InferOutput]:
    """Read the tensors of a check's request, rows or a request of the protocol; raises RequestError."""
    try:
        call = bind(read_request(body), signature)
    except RequestError:
        call = bind_rows(read_rows(body), signature)
    return _tensors(call)


def _tensors(call: Call) -> list[InferOutput]:
    rows = () if call.kind.alone else (call.rows,)
    return [
        as_json(Output(kind.name, kind.datatype, (*rows, *kind.tail), memoryview(data)))
        for kind, data in zip(call.kind.tensors, call.data, strict=True)
    ]


def from_signature(signature: Signature, known: Mapping[str, Any]) -> list[InferOutput]:
    """Make up one row; `known` are likely values by column."""
    if signature.is_matrix:
        return [_matrix(signature, known)]
    return [_made_up(spec, known.get(spec.name)) for spec in signature.inputs]


def known_values(baseline: Baseline) -> dict[str, Any]:
    """Give what is usual for each column of the training data: the mean, or the first text."""
    values: dict[str, Any] = {}
    for feature in baseline.features:
        if feature.kind == "number":
            values[feature.name] = float(f"{feature.mean:.{DIGITS}g}")
        elif feature.categories:
            values[feature.name] = feature.categories[0]
    return values


def _matrix(signature: Signature, known: Mapping[str, Any]) -> InferOutput:
    (spec,) = signature.inputs
    data = [_fitting(spec, known.get(name)) for name in signature.columns]
    return InferOutput(spec.name, spec.datatype, [1, len(data)], data)


def _made_up(spec: TensorSpec, value: Any) -> InferOutput:
    shape = [UNKNOWN_LENGTH if size == -1 and axis else abs(size) for axis, size in enumerate(spec.shape)]
    return InferOutput(spec.name, spec.datatype, shape, [_fitting(spec, value)] * prod(shape))


def _fitting(spec: TensorSpec, value: Any) -> Any:
    """Give a value of the tensor's datatype, the known one where it is of that kind."""
    kind = DATATYPES[spec.datatype].kind
    if isinstance(value, str):
        return value if kind is Kind.TEXT else _PLAIN[kind]
    if value is None or kind in {Kind.TEXT, Kind.BOOL}:
        return _PLAIN[kind]
    return round(value) if kind is Kind.INT else value


def is_short(tensors: list[InferOutput]) -> bool:
    """Say whether an example can be written out, and in JSON at all."""
    return bool(tensors) and all(len(tensor.data) <= MOST and tensor.datatype != "BF16" for tensor in tensors)


def as_infer(tensors: list[InferOutput]) -> dict[str, Any]:
    """Write a request of the Open Inference Protocol."""
    return {"inputs": [{**msgspec.to_builtins(tensor), "shape": list(tensor.shape)} for tensor in tensors]}


def as_rows(tensors: list[InferOutput], signature: Signature) -> list[Any] | None:
    """Write rows as `POST /predict` takes them, by name where there are names; None where the tensors have none."""
    shapes = {tuple(tensor.shape[:1]) for tensor in tensors}
    if len(shapes) != 1 or () in shapes:
        return None
    if len(tensors) == 1 and (signature.is_matrix or not signature.is_table):
        (tensor,) = tensors
        rows = list(nest(tensor.data, tensor.shape))
        return [dict(zip(signature.columns, row, strict=True)) for row in rows] if signature.columns else rows
    columns = {tensor.name: _cells(tensor) for tensor in tensors}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _cells(tensor: InferOutput) -> list[Any]:
    flat = len(tensor.data) == tensor.shape[0]
    return tensor.data if flat else list(nest(tensor.data, tensor.shape))
