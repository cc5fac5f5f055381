"""Results of a file of rows, written as the user wants them: from JSON lines, in which they were kept, to any kind."""

from __future__ import annotations

import csv
import io
import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from tiffin.errors import ConfigError
from tiffin.traffic.rows import PARQUET_ROWS, arrow

PREDICTION = "prediction"
Writer = Callable[[Path, BinaryIO], None]


def records(answer: bytes, rows: int) -> list[dict[str, Any]]:
    """Cut what `/predict` answered into a flat record a row: `prediction`, `probability_CLASS`, other outputs by name.

    Raises ConfigError where the answer does not have a row for each row that was asked.
    """
    document: dict[str, Any] = msgspec.json.decode(answer)
    classes = document.get("classes")
    cells: dict[str, Any] = {PREDICTION: document["predictions"], **document.get("outputs", {})}
    for name, values in cells.items():
        if not isinstance(values, list) or len(values) != rows:
            raise ConfigError(f"the model's output '{name}' does not have a row for each row", "ask it one by one")
    found: list[dict[str, Any]] = [{name: values[place] for name, values in cells.items()} for place in range(rows)]
    for record, shares in zip(found, document.get("probabilities", ()), strict=False):
        names = range(len(shares)) if classes is None else classes
        record |= {f"probability_{name}": share for name, share in zip(names, shares, strict=True)}
    return found


def check_record(kind: str, record: Mapping[str, Any]) -> None:
    """Raise ConfigError where a record cannot go into a file of a kind; asked early, of the first one."""
    if kind == "npy" and any(not isinstance(value, (int, float)) for value in _flat(record[PREDICTION])[1]):
        raise ConfigError("npy holds numbers, and these predictions are none", "write CSV or JSON lines")


def write_results(kind: str, kept: Path, file: BinaryIO) -> None:
    """Write the kept records as a file of a kind; raises ConfigError where they do not fit into it."""
    WRITERS[kind](kept, file)


def _kept(kept: Path) -> Iterator[dict[str, Any]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with kept.open("rb") as lines:
        yield from map(decode, lines)


def _csv(kept: Path, file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    lines = csv.writer(text, lineterminator="\n")
    names: list[str] = []
    for record in _kept(kept):
        if not names:
            names = list(record)
            lines.writerow(names)
        lines.writerow([_text(record.get(name)) for name in names])
    text.detach()


def _text(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, (list, dict, bool)) else value


def _jsonl(kept: Path, file: BinaryIO) -> None:
    with kept.open("rb") as lines:
        file.writelines(lines)


def _npy(kept: Path, file: BinaryIO) -> None:
    """Write the predictions alone (NEP 1, version 1): whole numbers as int64, others as float64."""
    whole, shape, count = True, None, 0
    for record in _kept(kept):
        found, flat = _flat(record[PREDICTION])
        if shape not in {None, found} or any(
            not isinstance(value, (int, float)) and value is not None for value in flat
        ):
            raise ConfigError(
                "npy holds numbers of one shape, and these predictions are not", "write CSV or JSON lines"
            )
        shape, count = found, count + 1
        whole = whole and all(isinstance(value, int) and not isinstance(value, bool) for value in flat)
    full = (count, *(shape or ()))
    head = f"{{'descr': '{'<i8' if whole else '<f8'}', 'fortran_order': False, 'shape': {full!r}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
    for record in _kept(kept):
        _, flat = _flat(record[PREDICTION])
        values = [float("nan") if value is None else value for value in flat]
        file.write(struct.pack(f"<{len(values)}{'q' if whole else 'd'}", *values))


def _flat(value: Any) -> tuple[tuple[int, ...], list[Any]]:
    shape, flat = [], [value]
    while flat and isinstance(flat[0], list):
        shape.append(len(flat[0]))
        flat = [item for row in flat for item in (row if isinstance(row, list) else [row])]
    return tuple(shape), flat


def _parquet(kept: Path, file: BinaryIO) -> None:
    arrow_, parquet, rows, writer = arrow(""), arrow("parquet"), _kept(kept), None
    while batch := list(islice(rows, PARQUET_ROWS)):
        table = arrow_.Table.from_pylist(batch, schema=writer.schema if writer else None)
        if writer is None:
            writer = parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


WRITERS: Mapping[str, Writer] = {"csv": _csv, "jsonl": _jsonl, "npy": _npy, "parquet": _parquet}
