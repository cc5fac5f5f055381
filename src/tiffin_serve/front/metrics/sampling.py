"""A few of all the rows that pass, as bytes: what a second's statistics are made of.

What is not kept costs one subtraction. Rows are kept at random distances that are `stride` on average, so that clients
who take turns are no pattern; the stride doubles whenever too many were kept, and halves from second to second.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import randrange
from typing import Generic, NamedTuple, Protocol, TypeVar

from tiffin_serve.protocol.call import TensorKind
from tiffin_serve.protocol.datatypes import DATATYPES, Kind

LONGEST_TEXT = 404
"""Bytes kept of a text: more than any category has."""

WALKED = 1_000
"""Elements of a BYTES tensor that are walked over on the way to a row."""

Buffer = bytes | memoryview
Value = float | bytes


class Column(NamedTuple):
    """The tensor of that number: its rows are `width` values, of which the first `kept` are looked at.

    Text has one value a row.
    """

    tensor: int
    datatype: str
    width: int
    kept: int

    @property
    def is_text(self) -> bool:
        """Say whether its values are texts."""
        return DATATYPES[self.datatype].kind is Kind.TEXT

    def cut(self, data: Buffer, row: int) -> bytes:
        """Cut one row out of the tensor's bytes."""
        if self.is_text:
            return _text(data, row)
        size = DATATYPES[self.datatype].size
        start = row * self.width * size
        return bytes(data[start : start + self.kept * size])

    def values(self, rows: Sequence[bytes]) -> list[Sequence[Value]]:
        """Give the values of rows that were cut, column by column; an empty call made alone has none."""
        if self.is_text:
            return [rows]
        datatype = DATATYPES[self.datatype]
        whole = [row for row in rows if len(row) == self.kept * datatype.size]
        flat = struct.unpack(f"<{self.kept * len(whole)}{datatype.code}", b"".join(whole))
        return [flat[position :: self.kept] for position in range(self.kept)]


def columns_of(tensors: Sequence[TensorKind], most: int, *, alone: bool) -> tuple[Column, ...]:
    """Say which tensors have rows of numbers or texts, and how many of their values to look at, `most` in all."""
    found = []
    for index, tensor in enumerate(tensors):
        shape = tensor.tail[1:] if alone else tensor.tail
        text = tensor.datatype == "BYTES"
        width = shape[0] if shape else 1
        if len(shape) <= 1 and tensor.datatype in DATATYPES and width > 0 and most > 0 and not (text and width > 1):
            kept = min(width, most)
            found.append(Column(index, tensor.datatype, width, kept))
            most -= kept
    return tuple(found)


def _text(data: Buffer, row: int) -> bytes:
    position = 0
    for _ in range(row % WALKED):
        position += 4 + int.from_bytes(data[position : position + 4], "little")
    length = int.from_bytes(data[position : position + 4], "little")
    return bytes(data[position + 4 : position + 4 + min(length, LONGEST_TEXT)])


class Sight(Protocol):
    """What of a kind of call is looked at; one that is kept with rows is told apart from others by what it is."""

    columns: tuple[Column, ...]


SightT = TypeVar("SightT", bound=Sight)


class Sampler(Generic[SightT]):
    """Keeps about `most` rows between two calls of `take`."""

    __slots__ = ("_kept", "_passed", "_skip", "_stride", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._stride = 1
        self._skip = 0
        self._passed = 0
        self._kept: list[tuple[SightT, tuple[bytes, ...]]] = []

    def wants(self, rows: int) -> bool:
        """Let so many rows pass; say whether one of them is to be kept."""
        self._passed += rows
        self._skip -= rows
        return self._skip < 0

    def keep(self, sight: SightT, calls: Sequence[tuple[int, Sequence[Buffer]]]) -> None:
        """Keep those of the rows that passed last whose turn it is, given as number of rows and tensors."""
        after = sum([rows for rows, _ in calls])
        for rows, data in calls:
            after -= rows
            while self._skip < -after:
                row = rows + self._skip + after
                cut = tuple([column.cut(data[column.tensor], row) for column in sight.columns])
                self._kept.append((sight, cut))
                self._skip += 1 + randrange(2 * self._stride - 1)  # noqa: S311 - statistics
                if len(self._kept) >= 2 * self.most:
                    self._kept = self._kept[::2]
                    self._stride *= 2

    def pass_by(self) -> None:
        """Keep none of the rows that passed last."""
        self._skip = max(self._skip, 0)

    def take(self) -> tuple[float, dict[SightT, list[tuple[bytes, ...]]]]:
        """Give the kept rows by what is looked at, and for how many that passed each of them stands; begin anew."""
        kept, self._kept = self._kept, []
        passed, self._passed = self._passed, 0
        self._stride = max(1, self._stride // 2)
        self._skip = min(self._skip, 2 * self._stride)
        found: dict[SightT, list[tuple[bytes, ...]]] = {}
        for sight, row in kept:
            found.setdefault(sight, []).append(row)
        return (passed / len(kept) if kept else 0.0), found
