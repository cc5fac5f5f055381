"""JSON Schemas (draft 2020-12) of what one model takes: values, tensors, rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiffin_serve.protocol.datatypes import DATATYPES, Datatype, Kind, accepts
from tiffin_serve.protocol.signature import Signature, TensorSpec

Schema = dict[str, Any]
ANY: Schema = {}
BASE64: Schema = {
    "type": "object",
    "description": "bytes that are no text",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
    "required": ["b64"],
    "additionalProperties": False,
}


def value(datatype: Datatype) -> Schema:
    """Describe one value of a tensor."""
    if datatype.kind is Kind.BOOL:
        return {"type": "boolean"}
    if datatype.kind is Kind.TEXT:
        return {"type": "string"}
    if datatype.kind is Kind.INT:
        return {"type": "integer", "minimum": int(datatype.low), "maximum": int(datatype.high)}
    if datatype.name == "FP64":
        return {"type": "number"}
    return {"type": "number", "minimum": datatype.low, "maximum": datatype.high}


def cell(datatype: Datatype) -> Schema:
    """Describe one value among rows, where a number may be missing and bytes need not be text."""
    if datatype.kind is Kind.FLOAT:
        return {**value(datatype), "type": ["number", "null"]}
    return {"anyOf": [value(datatype), BASE64]} if datatype.kind is Kind.TEXT else value(datatype)


def nested(element: Schema, shape: Sequence[int]) -> Schema:
    """Describe lists of lists of a shape; -1 is any length, which is at least 1."""
    schema = element
    for size in reversed(shape):
        schema = listed(schema, size)
    return schema


def listed(items: Schema, size: int = -1) -> Schema:
    """Describe a list of so many."""
    return {"type": "array", "items": items, "minItems": 1} | (
        {} if size == -1 else {"minItems": size, "maxItems": size}
    )


def row(signature: Signature) -> Schema:
    """Describe one row of `POST /predict`."""
    if not signature.inputs:
        return ANY
    if signature.is_table and not signature.is_matrix:
        cells = {spec.name: cell(DATATYPES[spec.datatype]) for spec in signature.inputs}
        bare = list(cells.values()) if len(cells) == 1 else []
        return {"anyOf": [*bare, _tuple(list(cells.values())), _named(cells)]}
    if len(signature.inputs) > 1:
        return _named({spec.name: _of_row(spec) for spec in signature.inputs})
    (spec,) = signature.inputs
    if signature.is_matrix:
        element = cell(DATATYPES[spec.datatype])
        by_name = _named(dict.fromkeys(signature.columns, element))
        return {"anyOf": [by_name, listed(element, len(signature.columns))]}
    return _of_row(spec)


def _of_row(spec: TensorSpec) -> Schema:
    return nested(cell(DATATYPES[spec.datatype]), spec.shape[1:])


def _tuple(cells: list[Schema]) -> Schema:
    return {
        "type": "array",
        "prefixItems": cells,
        "items": False,
        "minItems": len(cells),
    }


def _named(cells: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": cells, "required": list(cells), "additionalProperties": False}


def rows(signature: Signature) -> Schema:
    """Describe the body of `POST /predict`: rows, or rows under a name."""
    sizes = {spec.shape[:1] for spec in signature.inputs}
    (size,) = next(iter(sizes)) if len(sizes) == 1 and () not in sizes else (-1,)
    whole = listed({"$ref": "#/components/schemas/Row"}, size)
    return {"anyOf": [whole, *[_only(name, whole) for name in ("rows", "inputs")]]}


def _only(name: str, schema: Schema) -> Schema:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def tensor_in(spec: TensorSpec) -> Schema:
    """Describe one input of an inference request, by the one name and the shapes that the model takes."""
    wanted = DATATYPES[spec.datatype]
    taken = [name for name, sent in DATATYPES.items() if accepts(wanted, sent) and name != "BF16"]
    sizes = [{"type": "integer", "minimum": 0} if size == -1 else {"const": size} for size in spec.shape]
    return {
        "type": "object",
        "properties": {
            "name": {"const": spec.name},
            "datatype": {"enum": [wanted.name, *[name for name in taken if name != wanted.name]]},
            "shape": {**_tuple(sizes), "description": f"{list(spec.shape)}; -1 is any length"},
            "data": {
                "type": "array",
                "items": {"anyOf": [value(wanted), {"type": "array"}]},
                "description": "row-major values, flat or nested as `shape` says",
            },
            "parameters": {"type": "object"},
        },
        "required": ["name", "datatype", "shape", "data"],
    }


def tensor_free() -> Schema:
    """Describe an input of a model that has not said what it takes."""
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "datatype": {"enum": [name for name in DATATYPES if name != "BF16"]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 32},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        "required": ["name", "datatype", "shape", "data"],
    }


def infer(signature: Signature) -> Schema:
    """Describe an inference request of the Open Inference Protocol v2."""
    tensors = [tensor_in(spec) for spec in signature.inputs] or [tensor_free()]
    counted = {"minItems": len(tensors), "maxItems": len(tensors)} if signature.inputs else {"minItems": 1}
    whole: Schema = {"type": "array", "items": {"anyOf": tensors}, **counted}
    if signature.is_matrix:
        columns = [tensor_in(TensorSpec(name, signature.inputs[0].datatype, (-1, 1))) for name in signature.columns]
        width = len(columns)
        by_column = {"type": "array", "items": {"anyOf": columns}, "minItems": width, "maxItems": width}
        whole = {"anyOf": [whole, {**by_column, "description": "one tensor a column"}]}
    names = [spec.name for spec in signature.outputs]
    name: Schema = {"enum": names} if names else {"type": "string"}
    wanted = {"type": "object", "properties": {"name": name, "parameters": {"type": "object"}}, "required": ["name"]}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "comes back with the answer"},
            "inputs": whole,
            "outputs": {"type": "array", "items": wanted, "description": "the outputs that are wanted; all if absent"},
            "parameters": {"type": "object", "description": "for the model"},
        },
        "required": ["inputs"],
    }


def tensor_out(spec: TensorSpec) -> Schema:
    """Describe one output of an answer."""
    return {
        "type": "object",
        "properties": {
            "name": {"const": spec.name},
            "datatype": {"const": spec.datatype},
            "shape": {"type": "array", "items": {"type": "integer"}, "description": f"{list(spec.shape)}"},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        "required": ["name", "datatype", "shape"],
    }
