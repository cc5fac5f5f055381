"""Rows as text: CSV (RFC 4180) with or without a line of names, and JSON lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import msgspec

from tiffin_serve.protocol.datatypes import DATATYPES, Kind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.protocol.tensors import explain

_BOOLS = {"true": True, "1": True, "false": False, "0": False}
SHOWN = 60

Line = tuple[int, list[str]]
Convert = Callable[[str], Any]


def read_lines(body: bytes) -> list[Any]:
    """Read JSON lines, one row a line; raises RequestError that names the line."""
    rows = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if line.strip():
            try:
                rows.append(msgspec.json.decode(line))
            except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
                raise RequestError(explain(error, f"line {number}")) from error
    return _some(rows)


def read_csv(body: bytes, signature: Signature, *, header: bool = False) -> list[Any]:
    """Read rows of CSV, lists or, where there is a line of names, objects; raises RequestError that names the line.

    The first line holds names where any of them is a column of the model, or where `header` says so. An empty cell is a
    missing value; the other cells are of the datatype that the model takes there.
    """
    lines = _split(body)
    names = _names(signature)
    first = [cell.strip() for cell in lines[0][1]]
    headed = header or bool(set(first) & names.keys()) or (not signature.inputs and not any(map(_number, first)))
    if headed and (names or not signature.inputs):
        return _by_name(first, lines, names)
    rows = lines[1:] if headed else lines
    kinds = list(names.values()) or [_of_spec(signature)] * len(rows[0][1] if rows else ())
    return _some([_row(line, kinds, list(names)) for line in rows])


def _names(signature: Signature) -> dict[str, Convert]:
    """Give how the cells of each column are read, by its name where there are names."""
    if signature.is_matrix:
        return dict.fromkeys(signature.columns, _of_spec(signature))
    if signature.is_table:
        return {spec.name: _CONVERTS[DATATYPES[spec.datatype].kind] for spec in signature.inputs}
    if len(signature.inputs) > 1:
        raise RequestError("CSV has one value a cell, but this model takes tensors; send JSON")
    return {}


def _of_spec(signature: Signature) -> Convert:
    return _CONVERTS[DATATYPES[signature.inputs[0].datatype].kind] if signature.inputs else _guess


def _split(body: bytes) -> list[Line]:
    try:
        reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        lines = [(reader.line_num, cells) for cells in reader if cells]
    except UnicodeError as error:
        raise RequestError(f"not valid UTF-8 (byte {getattr(error, 'start', 0)})") from error
    except csv.Error as error:
        raise RequestError(f"line {reader.line_num}: not valid CSV: {error}") from error
    return _some(lines)


def _by_name(header: list[str], lines: list[Line], names: dict[str, Convert]) -> list[Any]:
    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise RequestError(f"line 1: column '{twice}' is there twice")
    for name in header if names else ():
        if name not in names:
            raise RequestError(f"line 1: unknown column '{name}'; the model takes {_list(names)}")
    for name in names:
        if name not in header:
            raise RequestError(f"line 1: column '{name}' is missing; the model takes {_list(names)}")
    kinds = [names.get(name, _guess) for name in header]
    return _some([dict(zip(header, _row(line, kinds, header), strict=True)) for line in lines[1:]])


def _row(line: Line, kinds: list[Convert], names: list[str]) -> list[Any]:
    number, cells = line
    if len(cells) != len(kinds):
        raise RequestError(f"line {number}: needs {len(kinds)} values, not {len(cells)}")
    try:
        return [convert(cell) for convert, cell in zip(kinds, cells, strict=True)]
    except ValueError:
        for position, (convert, cell) in enumerate(zip(kinds, cells, strict=True)):
            column = f"column '{names[position]}'" if names else f"column {position + 1}"
            _explain(convert, cell, f"line {number}, {column}")
        raise


def _explain(convert: Convert, cell: str, place: str) -> None:
    """Raise RequestError where a cell cannot be read."""
    try:
        convert(cell)
    except ValueError as error:
        raise RequestError(f"{place}: '{cell[:SHOWN]}' {error}") from None


def _float(cell: str) -> float | None:
    text = cell.strip()
    if not text:
        return None
    try:
        if "_" not in text:
            return float(text)
    except ValueError:
        pass
    raise ValueError("is no number")


def _int(cell: str) -> int:
    value = _float(cell)
    if value is None:
        raise ValueError("is no whole number; this column cannot be empty")
    text = cell.strip()
    if text.lstrip("+-").isdigit():
        return int(text)
    if not value.is_integer():
        raise ValueError("is no whole number")
    return int(value)


def _bool(cell: str) -> bool:
    value = _BOOLS.get(cell.strip().lower())
    if value is None:
        raise ValueError("is neither true nor false")
    return value


def _number(cell: str) -> bool:
    return not isinstance(_guess(cell), str)


def _guess(cell: str) -> Any:
    try:
        return _float(cell)
    except ValueError:
        return cell


_CONVERTS: dict[Kind, Convert] = {Kind.FLOAT: _float, Kind.INT: _int, Kind.BOOL: _bool, Kind.TEXT: str}


def _list(names: dict[str, Convert]) -> str:
    return ", ".join(f"'{name}'" for name in list(names)[:20])


def _some(rows: list[Any]) -> list[Any]:
    if not rows:
        raise RequestError("there are no rows")
    return rows
