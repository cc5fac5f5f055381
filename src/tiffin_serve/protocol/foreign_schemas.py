"""JSON Schemas of what clients of other servers send: TensorFlow Serving's forms, MLflow's, Triton's generation."""

from __future__ import annotations

from collections.abc import Mapping

from tiffin_serve.protocol.datatypes import DATATYPES
from tiffin_serve.protocol.schemas import NAMED_ROW, OPTIONAL, PARAMETERS, Schema, by_name, cell, listed, many, nested
from tiffin_serve.protocol.signature import Signature, TensorSpec

NONE: Schema = {"type": "null"}


def predict(signature: Signature) -> Schema:
    """Describe what `:predict` takes: rows, or whole tensors."""
    more = {"signature_name": {"enum": ["", "serving_default", "predict"]}, "parameters": OPTIONAL}
    return _one_of({"instances": instances(signature), "inputs": tensors(signature)}, more)


def invocation(signature: Signature) -> Schema:
    """Describe what `/invocations` takes: one of four forms."""
    forms = {
        "dataframe_split": _split(signature),
        "dataframe_records": many(signature, _record(signature)),
        "instances": instances(signature),
        "inputs": tensors(signature),
    }
    return _one_of(forms, {"params": OPTIONAL})


def generation(signature: Signature) -> Schema:
    """Describe what `generate` takes: one row by names, beside what is said of it."""
    more = {"id": {"type": ["string", "null"]}, "parameters": PARAMETERS}
    if not signature.inputs:
        return {"type": "object", "properties": more, "minProperties": 1}
    whole = by_name(signature)
    return {**whole, "properties": {**whole["properties"], **more}}


def instances(signature: Signature) -> Schema:
    """Describe a list of rows, in which the one input may be named."""
    if len(signature.inputs) != 1:
        return many(signature)
    (spec,) = signature.inputs
    element = cell(DATATYPES[spec.datatype])
    forms = [nested(element, spec.shape[1:]), *([NAMED_ROW] if signature.is_matrix else [])]
    return {"anyOf": [many(signature), *[many(signature, _object({spec.name: form})) for form in forms]]}


def tensors(signature: Signature) -> Schema:
    """Describe tensors by name, or the one tensor itself, which is rows."""
    if not signature.inputs:
        return {"anyOf": [{"type": "object", "minProperties": 1}, listed({})]}
    forms = [_object({spec.name: _tensor(spec) for spec in signature.inputs})]
    if signature.is_matrix:
        (matrix,) = signature.inputs
        column = _tensor(TensorSpec("", matrix.datatype, (-1, 1)))
        forms.append(_object(dict.fromkeys(signature.columns, column)))
    if len(signature.inputs) == 1 or signature.is_table:
        forms.append(instances(signature))
    return {"anyOf": forms}


def _tensor(spec: TensorSpec) -> Schema:
    element = cell(DATATYPES[spec.datatype])
    whole = nested(element, spec.shape)
    return {"anyOf": [whole, listed(element)]} if spec.shape == (-1, 1) else whole


def _split(signature: Signature) -> Schema:
    """Describe a table as pandas splits it; columns that are numbers are positions."""
    free = {"columns": {"type": ["array", "null"]}}
    if not signature.inputs:
        return _object({"data": listed({"type": "array"})}, free)
    if len(signature.inputs) == 1 and not signature.is_table and not signature.is_matrix:
        (spec,) = signature.inputs
        return _object({"data": many(signature, nested(cell(DATATYPES[spec.datatype]), spec.shape[1:]))}, free)
    cells: dict[str, Schema] = by_name(signature)["properties"]
    width = {"minItems": len(cells), "maxItems": len(cells)}
    row: Schema = {"type": "array", "prefixItems": list(cells.values()), "items": False, **width}
    named: Schema = {"const": list(cells)}
    if signature.is_matrix:
        row = listed(next(iter(cells.values())), len(cells))
        named = {"type": "array", "items": {"enum": list(cells)}, "uniqueItems": True, **width}
    elif not signature.is_table:
        return _object({"data": many(signature, row), "columns": named}, {})
    positions = {"type": "array", "items": {"type": "integer"}, **width}
    return _object({"data": many(signature, row)}, {"columns": {"anyOf": [named, positions, NONE]}})


def _record(signature: Signature) -> Schema:
    """Describe a row of `dataframe_records`: by names where the model has some, else values under any names."""
    if not signature.inputs:
        return {"type": "object", "minProperties": 1}
    if len(signature.inputs) > 1 or signature.is_table or signature.is_matrix:
        return NAMED_ROW
    (spec,) = signature.inputs
    sizes = spec.shape[1:2]
    count = {"minProperties": sizes[0], "maxProperties": sizes[0]} if sizes and sizes[0] >= 0 else {}
    values = nested(cell(DATATYPES[spec.datatype]), spec.shape[2:])
    return {"type": "object", "additionalProperties": values, **count}


def _one_of(forms: Mapping[str, Schema], more: Mapping[str, Schema]) -> Schema:
    """Describe an object that has one of these fields and not the others, which may be null."""
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {name: form, **{other: NONE for other in forms if other != name}, **more},
                "required": [name],
            }
            for name, form in forms.items()
        ]
    }


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    closed = {} if optional is not None else {"additionalProperties": False}
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required), **closed}
