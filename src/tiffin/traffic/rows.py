"""Files of rows, read row by row: CSV, JSON lines, npy, and Parquet where pyarrow is installed.

A row is what the model is asked (`asked`) and, where the file names its columns, all that is said of it (`known`). One
that cannot be read has its `problem` instead, and is reported beside the results.
"""

from __future__ import annotations

import csv
import itertools
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from tiffin.errors import ConfigError, UnsupportedError

NPY = b"\x93NUMPY"
NPY_CODES = {"b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"}
NPY_CODES |= {"f2": "e", "f4": "f", "f8": "d"}
"""numpy's names of numbers, and the codes of `struct`."""
PARQUET_ROWS = 4096


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a file; `number` counts from 1."""

    number: int
    asked: Any = None
    known: Mapping[str, Any] | None = None
    problem: str = ""


Reader = Callable[[Path, Mapping[str, str]], Iterator[Row]]


def read_rows(path: Path, kind: str, columns: Mapping[str, str]) -> Iterator[Row]:
    """Read a file for a model with these columns (name -> datatype; none: rows without names).

    Raises ConfigError with the place where the file as a whole cannot be used.
    """
    return READERS[kind](path, columns)


def kind_of(path: Path, given: str = "") -> str:
    """Say which kind of file a path is, by its ending; raises UnsupportedError."""
    kind = given or {".ndjson": "jsonl", ".json": "jsonl", ".pq": "parquet"}.get(path.suffix, path.suffix[1:])
    if kind not in READERS:
        raise UnsupportedError(
            f"{path}: what kind of file this is cannot be seen", f"it is one of {', '.join(READERS)}"
        )
    return kind


def _csv(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        try:
            first = next(lines, [])
            named = bool(set(first) & columns.keys()) or not all(map(_is_number, first))
            if named:
                _check_columns(path, first, columns)
            for number, cells in enumerate(lines if named else itertools.chain([first], lines), 1):
                if cells:
                    yield _csv_row(number, cells, first if named else None, columns)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}, line {lines.line_num}: {error}", "it must be CSV in UTF-8") from error


def _csv_row(number: int, cells: list[str], names: list[str] | None, columns: Mapping[str, str]) -> Row:
    if names is None:
        if columns and len(cells) != len(columns):
            return Row(number=number, problem=f"has {len(cells)} values, not {len(columns)}")
        kinds = list(columns.values()) or ["FP64"] * len(cells)
        try:
            return Row(number=number, asked=[_cell(text, kind) for text, kind in zip(cells, kinds, strict=True)])
        except ValueError as error:
            return Row(number=number, problem=str(error))
    if len(cells) != len(names):
        return Row(number=number, problem=f"has {len(cells)} values, not {len(names)}")
    known = dict(zip(names, cells, strict=True))
    try:
        asked = {name: _cell(known[name], kind) for name, kind in columns.items()} or [_guess(text) for text in cells]
    except ValueError as error:
        return Row(number=number, known=known, problem=str(error))
    return Row(number=number, asked=asked, known=known)


def _cell(text: str, datatype: str) -> Any:
    """Read one cell as a value of a datatype; an empty one is missing."""
    if datatype == "BYTES":
        return text
    if not text.strip():
        return None
    if datatype == "BOOL":
        known = {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower())
        if known is None:
            raise ValueError(f"'{text[:40]}' is neither true nor false")
        return known
    try:
        return float(text) if datatype.startswith(("FP", "BF")) else int(text)
    except ValueError:
        raise ValueError(f"'{text[:40]}' is no number") from None


def _guess(text: str) -> Any:
    return _cell(text, "FP64" if _is_number(text) else "BYTES")


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _check_columns(path: Path, names: list[str], columns: Mapping[str, str]) -> None:
    missing = [name for name in columns if name not in names]
    if missing:
        raise ConfigError(
            f"{path}: column '{missing[0]}' is missing", f"the model takes {', '.join(list(columns)[:10])}"
        )


def _jsonl(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    decode = msgspec.json.Decoder().decode
    with path.open("rb") as file:
        for number, line in enumerate((line for line in file if line.strip()), 1):
            try:
                value = decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
                yield Row(number=number, problem=f"not valid JSON: {error}")
                continue
            yield _named(number, value, columns) if isinstance(value, dict) else Row(number=number, asked=value)


def _named(number: int, known: Mapping[str, Any], columns: Mapping[str, str]) -> Row:
    """Ask the model only what it takes; what else the file knows of a row comes back with the result."""
    missing = [name for name in columns if name not in known]
    if missing:
        return Row(number=number, known=known, problem=f"column '{missing[0]}' is missing")
    return Row(number=number, known=known, asked={name: known[name] for name in columns} if columns else dict(known))


def _npy(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    del columns
    with path.open("rb") as file:
        code, shape = read_npy_head(file, path)
        width = 1
        for size in shape[1:]:
            width *= size
        row = struct.Struct(f"{code[0]}{width}{code[1]}")
        for number in range(1, shape[0] + 1):
            data = file.read(row.size)
            if len(data) < row.size:
                raise ConfigError(f"{path} ends in row {number} of {shape[0]}", "write it again; it was cut off")
            yield Row(number=number, asked=_shaped(list(row.unpack(data)), shape[1:]))


def read_npy_head(file: BinaryIO, path: Path) -> tuple[str, tuple[int, ...]]:
    """Read the head of an npy file (NEP 1): byte order and code of `struct`, and the shape; raises ConfigError."""
    import ast  # noqa: PLC0415 - only for files of this kind

    try:
        magic, major = file.read(6), file.read(2)[0]
        size = struct.unpack("<H", file.read(2))[0] if major == 1 else struct.unpack("<I", file.read(4))[0]
        head = ast.literal_eval(file.read(min(size, 65536)).decode("latin-1").strip())
        kind, order, shape = str(head["descr"]), bool(head["fortran_order"]), tuple(int(n) for n in head["shape"])
        code = NPY_CODES[kind.lstrip("<>|=")] if magic == NPY else ""
    except (ValueError, KeyError, SyntaxError, TypeError, IndexError, struct.error) as error:
        raise ConfigError(f"{path}: not an npy file of numbers: {error}", "`numpy.save` writes one") from error
    if not code:
        raise ConfigError(f"{path}: does not begin as npy files do", "`numpy.save` writes one")
    if order and len(shape) > 1:
        raise UnsupportedError(f"{path}: its columns come first", "save `numpy.ascontiguousarray(array)`")
    if not shape:
        raise ConfigError(f"{path}: holds one number, no rows", "save an array whose first dimension are the rows")
    return (">" if kind.startswith(">") else "<") + code, shape


def _shaped(values: list[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return values
    for size in shape[:0:-1]:
        values = [values[start : start + size] for start in range(0, len(values), size)]
    return values


def _parquet(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    parquet = arrow("parquet")
    try:
        file = parquet.ParquetFile(path)
    except Exception as error:  # pyarrow has its own errors
        raise ConfigError(f"{path}: not a Parquet file: {error}") from error
    _check_columns(path, file.schema_arrow.names, columns)
    number = 0
    for batch in file.iter_batches(batch_size=PARQUET_ROWS):
        for known in batch.to_pylist():
            number += 1
            row = _named(number, known, columns)
            yield row if columns or row.problem else msgspec.structs.replace(row, asked=list(known.values()))


def arrow(module: str) -> Any:
    """Give a module of pyarrow; raises UnsupportedError where it is not installed."""
    import importlib  # noqa: PLC0415 - only for files of this kind

    try:
        return importlib.import_module(f"pyarrow.{module}" if module else "pyarrow")
    except ImportError as error:
        raise UnsupportedError("Parquet needs pyarrow", "`pip install pyarrow` beside tiffin, or use CSV") from error


READERS: dict[str, Reader] = {"csv": _csv, "jsonl": _jsonl, "npy": _npy, "parquet": _parquet}
