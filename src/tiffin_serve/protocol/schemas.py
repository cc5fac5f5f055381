"""JSON Schemas (draft 2020-12) of what one model takes: values, tensors, rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiffin_serve.protocol.datatypes import DATATYPES, Datatype, Kind, accepts
from tiffin_serve.protocol.signature import Signature, TensorSpec

Schema = dict[str, Any]
ANY: Schema = {}
OPTIONAL: Schema = {"type": ["object", "null"]}
PARAMETERS: Schema = {
    "type": ["object", "null"],
    "description": "for the model; `timeout` is in microseconds",
    "properties": {"timeout": {"type": "integer", "minimum": 0, "maximum": 10**18}},
}
_LETTERS = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
BASE64: Schema = {
    "type": "object",
    "description": "bytes that are no text",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64", "pattern": _LETTERS}},
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


ROW: Schema = {"$ref": "#/components/schemas/Row"}
NAMED_ROW: Schema = {"$ref": "#/components/schemas/NamedRow"}
"""What `row` and `by_name` describe, which a document has once."""


def row(signature: Signature) -> Schema:
    """Describe one row of `POST /predict`."""
    if not signature.inputs:
        return ANY
    if signature.is_table and not signature.is_matrix:
        cells = {spec.name: cell(DATATYPES[spec.datatype]) for spec in signature.inputs}
        bare = list(cells.values()) if len(cells) == 1 else []
        return {"anyOf": [*bare, _tuple(list(cells.values())), NAMED_ROW]}
    if len(signature.inputs) > 1:
        return NAMED_ROW
    (spec,) = signature.inputs
    if signature.is_matrix:
        return {"anyOf": [NAMED_ROW, listed(cell(DATATYPES[spec.datatype]), len(signature.columns))]}
    return {"anyOf": [_of_row(spec), NAMED_ROW]}


def by_name(signature: Signature) -> Schema:
    """Describe one row by the names of columns or inputs."""
    if signature.is_matrix:
        return _named(dict.fromkeys(signature.columns, cell(DATATYPES[signature.inputs[0].datatype])))
    if signature.is_table:
        return _named({spec.name: cell(DATATYPES[spec.datatype]) for spec in signature.inputs})
    return _named({spec.name: _of_row(spec) for spec in signature.inputs})


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


ALIKE: Schema = {
    "anyOf": [
        {"items": {"type": "object"}},
        {"items": {"type": "array"}},
        {"items": {"type": ["string", "number", "boolean", "null"]}},
    ]
}
"""Rows of one request are of one form."""


def rows(signature: Signature) -> Schema:
    """Describe the body of `POST /predict`: rows, or rows under a name."""
    whole = many(signature)
    return {"anyOf": [whole, *[_only(name, whole) for name in ("rows", "inputs")]]}


def many(signature: Signature, item: Schema = ROW) -> Schema:
    """Describe a list of rows, as many as the model takes."""
    sizes = {spec.shape[:1] for spec in signature.inputs}
    (size,) = next(iter(sizes)) if len(sizes) == 1 and () not in sizes else (-1,)
    return {**listed(item, size), **({"allOf": [ALIKE]} if item is ROW and signature.inputs else {})}


def _only(name: str, schema: Schema) -> Schema:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def tensor_in(spec: TensorSpec, fewest: int = 0) -> Schema:
    """Describe one input of an inference request, by the one name and the shapes that the model takes."""
    wanted = DATATYPES[spec.datatype]
    taken = [name for name, sent in DATATYPES.items() if accepts(wanted, sent) and name != "BF16"]
    known = [fewest, *[0] * len(spec.shape)]
    sizes = [_size(size, least) for size, least in zip(spec.shape, known, strict=False)]
    return {
        "type": "object",
        "properties": {
            "name": {"const": spec.name},
            "datatype": {"enum": [wanted.name, *[name for name in taken if name != wanted.name]]},
            "shape": {**_tuple(sizes), "description": f"{list(spec.shape)}; -1 is any length"},
            "data": {
                **_lists(value(wanted), len(spec.shape)),
                "description": "row-major values, flat or nested as `shape` says",
            },
            "parameters": OPTIONAL,
        },
        "required": ["name", "datatype", "shape", "data"],
    }


def _lists(element: Schema, rank: int) -> Schema:
    """Describe lists as deep as a shape is long, or one flat list; how long they are, the shape says."""
    flat = whole = {"type": "array", "items": element}
    for _ in range(rank - 1):
        whole = {"type": "array", "items": whole}
    return flat if rank < 2 else {"anyOf": [flat, whole]}  # noqa: PLR2004 - a list of lists


def _size(size: int, least: int) -> Schema:
    return {"type": "integer", "minimum": least} if size == -1 else {"const": size}


def tensor_free() -> Schema:
    """Describe an input of a model that has not said what it takes."""
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "datatype": {"enum": [name for name in DATATYPES if name != "BF16"]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 32},
            "data": {"type": "array"},
            "parameters": OPTIONAL,
        },
        "required": ["name", "datatype", "shape", "data"],
    }


def infer(signature: Signature) -> Schema:
    """Describe an inference request of the Open Inference Protocol v2."""
    fewest = 1 if signature.batches else 0
    tensors = [tensor_in(spec, fewest) for spec in signature.inputs] or [tensor_free()]
    counted = {"minItems": len(tensors), "maxItems": len(tensors)} if signature.inputs else {"minItems": 1}
    whole: Schema = {"type": "array", "items": {"anyOf": tensors}, **counted, **_each(signature.inputs)}
    if signature.is_matrix:
        specs = [TensorSpec(name, signature.inputs[0].datatype, (-1, 1)) for name in signature.columns]
        columns = listed({"anyOf": [tensor_in(spec, fewest) for spec in specs]}, len(specs))
        whole = {"anyOf": [whole, {**columns, **_each(specs), "description": "one tensor a column"}]}
    names = [spec.name for spec in signature.outputs]
    name: Schema = {"enum": names} if names else {"type": "string"}
    wanted = {"type": "object", "properties": {"name": name, "parameters": OPTIONAL}, "required": ["name"]}
    return {
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"], "description": "comes back with the answer"},
            "inputs": whole,
            "outputs": {
                "type": ["array", "null"],
                "items": wanted,
                "description": "the outputs that are wanted; all if absent",
            },
            "parameters": PARAMETERS,
        },
        "required": ["inputs"],
    }


def _each(specs: Sequence[TensorSpec]) -> Schema:
    """Say that none of several tensors is given twice, in whatever order they come."""
    names = [{"properties": {"name": {"const": spec.name}}} for spec in specs]
    return {"allOf": [{"contains": name} for name in names]} if len(names) > 1 else {}


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
