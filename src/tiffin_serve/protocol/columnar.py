"""Tensors by name in plain JSON, as TensorFlow Serving and MLflow have them: `{"inputs": {"a": [...], "b": [...]}}`."""

from __future__ import annotations

from typing import Any

from tiffin_serve.protocol.call import Call, Tensor, make_call
from tiffin_serve.protocol.datatypes import DATATYPES
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.raw import weave
from tiffin_serve.protocol.rows import bind_rows, guess
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensors import read_values


def bind_instances(values: Any, signature: Signature, field: str, parameters: dict[str, Any] | None = None) -> Call:
    """Make a call of a list of rows; one input may be named in each row or not; raises RequestError."""
    if not isinstance(values, list) or not values:
        raise RequestError(f"{field}: must be a list with at least one row")
    if len(signature.inputs) == 1:
        (spec,) = signature.inputs
        if all(isinstance(row, dict) and row.keys() == {spec.name} for row in values):
            values = [row[spec.name] for row in values]
    return bind_rows(values, signature, field, parameters)


def bind_columns(values: Any, signature: Signature, field: str, parameters: dict[str, Any] | None = None) -> Call:
    """Make a call of whole tensors: an object by their names, or the one tensor itself; raises RequestError."""
    if not isinstance(values, dict):
        if len(signature.inputs) > 1 and not signature.is_table:
            names = ", ".join(f"'{spec.name}'" for spec in signature.inputs)
            raise RequestError(f"{field}: must be an object with {names}")
        return bind_instances(values, signature, field, parameters)
    tensors = _free(values, field) if not signature.inputs else _known(values, signature, field)
    if signature.batches and len({tensor.shape[:1] for tensor in tensors}) > 1:
        raise RequestError(f"{field}: the tensors differ in their number of rows")
    if signature.batches and tensors[0].shape[:1] == (0,):
        raise RequestError(f"{field}: there are no rows")
    return make_call(tensors, batches=signature.batches, parameters=parameters)


def _free(values: dict[str, Any], field: str) -> tuple[Tensor, ...]:
    if not values:
        raise RequestError(f"{field}: there are no tensors")
    return tuple([guess(name, value, f"{field}.{name}") for name, value in values.items()])


def _known(values: dict[str, Any], signature: Signature, field: str) -> tuple[Tensor, ...]:
    specs = {spec.name: spec for spec in signature.inputs}
    woven = signature.is_matrix and not values.keys() & specs.keys()
    if woven:
        matrix = signature.inputs[0]
        specs = {name: TensorSpec(name, matrix.datatype, (-1, 1)) for name in signature.columns}
    _compare(values, list(specs), field)
    tensors = [_read(values[name], spec, f"{field}.{name}") for name, spec in specs.items()]
    if not woven:
        return tuple(tensors)
    (rows,) = {tensor.shape[0] for tensor in tensors} if len({tensor.shape[0] for tensor in tensors}) == 1 else (-1,)
    if rows < 0:
        raise RequestError(f"{field}: the columns differ in length")
    matrix = signature.inputs[0]
    data = weave([tensor.data for tensor in tensors], DATATYPES[matrix.datatype])
    return (Tensor(matrix.name, matrix.datatype, (rows, len(tensors)), data),)


def _compare(values: dict[str, Any], names: list[str], field: str) -> None:
    known = ", ".join(f"'{name}'" for name in names[:20])
    for name in values:
        if name not in names:
            raise RequestError(f"{field}: unknown input '{name}'; the model takes {known}")
    for name in names:
        if name not in values:
            raise RequestError(f"{field}: input '{name}' is missing; the model takes {known}")


def _read(value: Any, spec: TensorSpec, field: str) -> Tensor:
    flat = spec.shape == (-1, 1) and isinstance(value, list) and not any(isinstance(item, list) for item in value[:1])
    found, data = read_values(value, DATATYPES[spec.datatype], (-1,) if flat else spec.shape, field)
    return Tensor(spec.name, spec.datatype, spec.fit(found), data)
