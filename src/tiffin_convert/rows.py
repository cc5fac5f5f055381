"""Example rows out of a CSV file, as the tensors that the model's signature names."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Dict, List

_MOST = 20_000


def read_rows(path: Path, signature: "Dict[str, Any]") -> "Dict[str, Any]":
    """Read at most 20,000 rows below a line of names; columns that the model does not know are left out.

    A model without names of columns takes the file's columns in their order. Raises ValueError with the place.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        lines = [line for _, line in zip(range(_MOST), reader) if line]  # noqa: B905 - strict= is Python 3.10
    if not lines:
        raise ValueError("%s has no rows below its line of names" % path.name)
    places = _places(header, signature, path.name)
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise ValueError(
                "%s, line %d: %d cells, and the header has %d" % (path.name, number, len(line), len(header))
            )
    if len(signature["inputs"]) == 1:
        return {signature["inputs"][0]["name"]: _tensor(lines, places, signature["inputs"][0])}
    return {spec["name"]: _tensor(lines, [place], spec) for spec, place in zip(signature["inputs"], places)}  # noqa: B905 - strict= is Python 3.10


def _places(header: List[str], signature: "Dict[str, Any]", name: str) -> List[int]:
    specs = signature["inputs"]
    width = len(specs) if len(specs) > 1 else (specs[0]["shape"][-1] if len(specs[0]["shape"]) > 1 else 1)
    if signature["columns"]:
        missing = [column for column in signature["columns"] if column not in header]
        if missing:
            raise ValueError(
                "%s has no column %r; the model takes %s" % (name, missing[0], ", ".join(signature["columns"]))
            )
        return [header.index(column) for column in signature["columns"]]
    if width not in (-1, len(header)):
        raise ValueError("%s has %d columns, and the model takes %d" % (name, len(header), width))
    return list(range(len(header)))


def _tensor(lines: "List[List[str]]", places: List[int], spec: "Dict[str, Any]") -> Any:
    import numpy as np

    if spec["datatype"] == "BYTES":
        cells = np.array([[line[place] for place in places] for line in lines], dtype=object)
    else:
        cells = np.array([[float(line[place] or "nan") for place in places] for line in lines])
        cells = cells.astype(np.float32 if spec["datatype"] == "FP32" else np.float64)
    return cells if len(spec["shape"]) > 1 else cells[:, 0]
