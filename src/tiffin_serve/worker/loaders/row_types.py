"""Types of the user's that describe one row: dataclasses, named tuples and typed dicts, or a dict of plain values."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, get_args, get_origin, get_type_hints

from tiffin_serve.worker.model import tensor

DATATYPES = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES", bytes: "BYTES"}
PLAIN = "bool, int, float, str or bytes"


class RowType(NamedTuple):
    """How one row is made of values by name, and what its type says of them; no fields: it says nothing."""

    make: "Callable[..., Any]"
    fields: "Dict[str, str]"

    @property
    def inputs(self) -> "List[Dict[str, Any]]":
        """Describe one column for each field."""
        return [tensor(name, datatype, [-1]) for name, datatype in self.fields.items()]


def row_type(annotation: Any) -> Optional[RowType]:
    """Read what the argument of `predict` is annotated with: None where that is no type of one row.

    Raises TypeError for a row with a field that no tensor can carry.
    """
    if get_origin(annotation) in (dict, Mapping) or getattr(get_origin(annotation), "__name__", "") == "Mapping":
        values = get_args(annotation)[1:]
        return RowType(dict, {}) if values and values[0] in DATATYPES else None
    if not isinstance(annotation, type):
        return None
    if dataclasses.is_dataclass(annotation) or _is_named_tuple(annotation) or _is_typed_dict(annotation):
        return RowType(annotation, _fields(annotation))
    return None


def output_of(annotation: Any) -> "Dict[str, str]":
    """Read what `predict` says it gives for a row: datatypes by name, or nothing."""
    if annotation in DATATYPES:
        return {"predict": DATATYPES[annotation]}
    found = row_type(annotation)
    return found.fields if found else {}


def values_of(answer: Any) -> "Dict[str, Any]":
    """Give what `predict` gave for one row by name."""
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return {field.name: getattr(answer, field.name) for field in dataclasses.fields(answer)}
    if _is_named_tuple(type(answer)):
        return dict(answer._asdict())
    return answer if isinstance(answer, dict) else {"predict": answer}


def _is_named_tuple(found: type) -> bool:
    return issubclass(found, tuple) and hasattr(found, "_fields")


def _is_typed_dict(found: type) -> bool:
    return issubclass(found, dict) and hasattr(found, "__total__")


def _fields(row: type) -> "Dict[str, str]":
    hints = get_type_hints(row, vars(sys.modules[row.__module__]))
    names = [field.name for field in dataclasses.fields(row)] if dataclasses.is_dataclass(row) else list(hints)
    fields = {}
    for name in names:
        datatype = DATATYPES.get(hints[name])
        if datatype is None:
            shown = getattr(hints[name], "__name__", hints[name])
            raise TypeError("%s.%s is %s; a field of a row is %s" % (row.__name__, name, shown, PLAIN))
        fields[name] = datatype
    return fields
