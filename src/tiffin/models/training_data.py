"""The rows a model was trained with, out of a file: CSV, JSON lines or npy, by the standard library alone.

A large file is read as every 2nd, 4th, 8th, ... row of it, so that what is kept has a bound and is the same every time.
"""

from __future__ import annotations

import ast
import csv
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.errors import ConfigError

MOST_CELLS = 2_000_000
LEAST_ROWS = 1_000
FARTHEST = 1e100
Cell = str | float | None
"""A value as the file has it; None is one that is missing."""

_MISSING = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"}
_DTYPES = {"f2": "e", "f4": "f", "f8": "d", "b1": "?"} | {f"i{size}": code for size, code in zip((1, 2, 4, 8), "bhiq", strict=True)} | {f"u{size}": code for size, code in zip((1, 2, 4, 8), "BHIQ", strict=True)}  # fmt: skip # noqa: E501 - a table
_MAGIC = b"\x93NUMPY"
_HINT = "give a CSV file with a header, JSON lines or an array of numbers as .npy"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Columns and the rows that were kept; columns of an array have no names."""

    columns: tuple[str, ...]
    rows: list[list[Cell]]


def read_training_data(path: Path) -> Table:
    """Read a file by its name's ending; raises ConfigError with file and line."""
    readers: dict[str, Callable[[Path], Table]] = {
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".jsonl": _read_lines,
        ".ndjson": _read_lines,
        ".npy": _read_npy,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        kinds = ", ".join(readers)
        fix = f"pandas writes one: `pandas.read_parquet({path.name!r}).to_csv('{path.stem}.csv', index=False)`"
        hint = fix if path.suffix.lower() in {".parquet", ".pq"} else _HINT
        raise ConfigError(f"{path}: training data is read from {kinds} - at `$.model.training-data`", hint)
    try:
        return reader(path)
    except FileNotFoundError as error:
        raise ConfigError(
            f"no training data at {path} - at `$.model.training-data`", "the path is relative to tiffin.toml's folder"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error.reason}", "`iconv -t utf-8` converts it") from error


def _thinned(rows: Iterable[list[Cell]], width: int) -> list[list[Cell]]:
    """Keep every row, then every second one, and so on, whenever there are too many."""
    most = max(LEAST_ROWS, MOST_CELLS // max(width, 1))
    kept: list[list[Cell]] = []
    stride = 1
    for number, row in enumerate(rows):
        if number % stride == 0:
            kept.append(row)
            if len(kept) > most:
                kept, stride = kept[::2], stride * 2
    return kept


def _read_csv(path: Path) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        columns = [name.strip() for name in next(reader, [])]
        twice = {name for name in columns if name and columns.count(name) > 1}
        if not columns or twice:
            what = f"the column {min(twice)!r} is there twice" if twice else "there is no header"
            raise ConfigError(f"{path}:1: {what}", "the first line names every column once")
        try:
            rows = _thinned(_csv_rows(reader, len(columns), path), len(columns))
        except csv.Error as error:
            raise ConfigError(f"{path}:{reader.line_num}: {error}", _HINT) from error
    if columns[0] == "":  # what pandas writes for its index
        return Table(columns=tuple(columns[1:]), rows=[row[1:] for row in rows])
    return Table(columns=tuple(columns), rows=rows)


def _csv_rows(reader: Iterator[list[str]], width: int, path: Path) -> Iterator[list[Cell]]:
    for number, row in enumerate(reader, 2):
        if len(row) == width:
            yield [None if cell in _MISSING else cell for cell in row]
        elif row:
            raise ConfigError(f"{path}: row {number} has {len(row)} values for {width} columns", "mend or delete it")


def _read_lines(path: Path) -> Table:
    with path.open(encoding="utf-8-sig") as file:
        found = ((number, _parse(line, path, number)) for number, line in enumerate(file, 1) if line.strip())
        number, first = next(found, (1, None))
        if isinstance(first, dict):
            columns, width = tuple(first), len(first)
        elif isinstance(first, list):
            columns, width = (), len(first)
        else:
            raise ConfigError(f"{path}:1: neither an object nor a list", 'a line is like {"age": 31, "city": "Oslo"}')
        rows = _thinned(_line_rows(chain([(number, first)], found), columns, width, path), width)
    return Table(columns=columns, rows=rows)


def _parse(line: str, path: Path, number: int) -> object:
    try:
        parsed: object = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}:{number}: not JSON: {error}", "each line is one object or list") from error
    return parsed


def _line_rows(
    found: Iterable[tuple[int, object]], columns: tuple[str, ...], width: int, path: Path
) -> Iterator[list[Cell]]:
    for number, document in found:
        if isinstance(document, dict) and columns:
            row = [document.get(name) for name in columns]
        elif isinstance(document, list) and not columns and len(document) == width:
            row = document
        else:
            raise ConfigError(f"{path}:{number}: not like the first line", "every line has the same form")
        if any(isinstance(value, dict | list) for value in row):
            raise ConfigError(f"{path}:{number}: a value is nested", "columns are numbers, texts, true or false")
        yield [float(value) if isinstance(value, int | float) else value for value in row]


def _read_npy(path: Path) -> Table:
    with path.open("rb") as file:
        try:
            return _read_array(file)
        except (ValueError, KeyError, SyntaxError, struct.error, TypeError, MemoryError) as error:
            raise ConfigError(f"{path}: not an array of numbers: {error}", _HINT) from error


def _read_array(file: BinaryIO) -> Table:
    """Read a .npy file (numpy.lib.format), version 1 to 3, whose elements are numbers."""
    start = file.read(8)
    if start[:6] != _MAGIC:
        raise ValueError("it does not begin with \\x93NUMPY")
    size, length = ("<H", 2) if start[6] == 1 else ("<I", 4)
    header = ast.literal_eval(file.read(struct.unpack(size, file.read(length))[0]).decode("utf-8"))
    order, kind = header["descr"][0], header["descr"][1:]
    rows, width = (*header["shape"], 1)[:2]
    if len(header["shape"]) not in {1, 2} or kind not in _DTYPES:
        raise ValueError(f"its shape is {header['shape']} and its type {header['descr']!r}")
    element = struct.Struct((">" if order == ">" else "<") + _DTYPES[kind])
    offset, across = file.tell(), 1 if header["fortran_order"] else width
    down = rows if header["fortran_order"] else 1

    def cell(row: int, column: int) -> float:
        file.seek(offset + (row * across + column * down) * element.size)
        return float(element.unpack(file.read(element.size))[0])

    stride = max(1, -(-rows * width // MOST_CELLS)) if rows > LEAST_ROWS else 1
    kept: list[list[Cell]] = [[cell(row, column) for column in range(width)] for row in range(0, rows, stride)]
    return Table(columns=(), rows=kept)


def numbers(values: Iterable[Cell]) -> list[float] | None:
    """Read a column as numbers, with true and false as 1 and 0; None where one value is a text.

    Values that are infinite, or as good as that, count as missing, as the server counts them.
    """
    words = {"true": 1.0, "false": 0.0}
    found = []
    for value in values:
        if value is None:
            continue
        try:
            number = words[value.lower()] if isinstance(value, str) and value.lower() in words else float(value)
        except ValueError:
            return None
        if -FARTHEST <= number <= FARTHEST:  # which NaN is not
            found.append(number)
    return found
