"""Requests that a model should take, made of its metadata alone."""

from __future__ import annotations

import struct
from math import prod
from typing import Any, NamedTuple

SIZES = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
    "BF16": 2,
    "BYTES": 0,
}
"""Bytes an element of each datatype of the protocol; those of BYTES differ."""
_CODES = dict(zip(SIZES, "?BHIQbhiqefd", strict=False))
_BF16_ONE = b"\x80\x3f"


class Tensor(NamedTuple):
    """An input of ones (or true, or the letter a), one row."""

    name: str
    datatype: str
    shape: list[int]

    @property
    def number(self) -> int:
        """Count the values."""
        return prod(self.shape)

    @property
    def values(self) -> list[Any]:
        """Give the values for JSON, flat."""
        one: Any = 1.0 if self.datatype.startswith("FP") else 1
        if self.datatype == "BOOL":
            one = True
        return ["a" if self.datatype == "BYTES" else one] * self.number

    @property
    def raw(self) -> bytes:
        """Give the values in binary form."""
        if self.datatype == "BYTES":
            return (struct.pack("<I", 1) + b"a") * self.number
        if self.datatype == "BF16":
            return _BF16_ONE * self.number
        return struct.pack(f"<{self.number}{_CODES[self.datatype]}", *self.values)

    @property
    def flat(self) -> dict[str, Any]:
        """Give it as JSON with flat data."""
        return {"name": self.name, "shape": self.shape, "datatype": self.datatype, "data": self.values}

    @property
    def nested(self) -> dict[str, Any]:
        """Give it as JSON with nested data."""
        data = self.values
        for size in self.shape[:0:-1]:
            data = [data[start : start + size] for start in range(0, len(data), size)]
        return {**self.flat, "data": data}

    @property
    def binary(self) -> dict[str, Any]:
        """Give it as JSON that says how many bytes follow."""
        parameters = {"binary_data_size": len(self.raw)}
        return {"name": self.name, "shape": self.shape, "datatype": self.datatype, "parameters": parameters}


def sample(inputs: list[dict[str, Any]]) -> list[Tensor]:
    """Make a tensor for each input of the metadata; lengths that are not fixed become 1."""
    return [Tensor(spec["name"], spec["datatype"], [1 if n == -1 else n for n in spec["shape"]]) for spec in inputs]
