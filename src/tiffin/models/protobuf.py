"""Just enough of protobuf to walk through a model's file, however large, without holding it.

Encoding: https://protobuf.dev/programming-guides/encoding/. A message is fields of a number and a wire type; what is
inside is told by a table of the numbers that hold further messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from tiffin.errors import IntegrityError

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_LONGEST_VARINT = 10
_DEEPEST = 100
_MOST_FIELDS = 20_000_000
_WINDOW = 1 << 16


class Field(msgspec.Struct, frozen=True, gc=False):
    """One field: its number, and a varint's value or where its bytes are."""

    number: int
    value: int = 0
    start: int = 0
    end: int = -1

    @property
    def is_bytes(self) -> bool:
        """Whether it holds bytes: a text or a message."""
        return self.end >= 0


class Walk:
    """A file that is a message, being walked; raises IntegrityError where it is none."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        self._fields = 0
        self._at = 0
        self._window = b""

    @classmethod
    def of(cls, path: Path) -> Self:
        """Walk through a file, which is closed when the walk is forgotten."""
        return cls(path.open("rb"))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message between two places."""
        at = start
        while at < end:
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise IntegrityError("it has more fields than any model")
            key, at = self._varint(at, end)
            field, at = self._field(key >> 3, key & 7, at, end)
            yield field

    def messages(self, table: Mapping[str, Mapping[int, str]], kind: str) -> Iterator[tuple[str, list[Field]]]:
        """Every message that the table leads to from the whole file, which is of this kind, with its fields."""
        waiting = [(kind, 0, self.size, 0)]
        while waiting:
            kind, start, end, depth = waiting.pop()
            if depth > _DEEPEST:
                raise IntegrityError(f"its messages are nested deeper than {_DEEPEST}")
            inner, rest = table[kind], []
            for field in self.fields(start, end):
                if field.number not in inner:
                    rest.append(field)
                elif field.is_bytes:
                    waiting.append((inner[field.number], field.start, field.end, depth + 1))
                else:
                    raise IntegrityError(f"byte {start} of it is no {kind}")
            yield kind, rest

    def text(self, field: Field, most: int = 4096) -> str:
        """The text of a field; a longer one is cut."""
        return self._read(field.start, min(max(field.end - field.start, 0), most)).decode("utf-8", "backslashreplace")

    def _field(self, number: int, wire: int, at: int, end: int) -> tuple[Field, int]:
        if wire == _VARINT:
            value, at = self._varint(at, end)
            return Field(number, value), at
        if wire == _BYTES:
            length, at = self._varint(at, end)
            field, after = Field(number, 0, at, at + length), at + length
        elif wire in (_EIGHT, _FOUR):
            field, after = Field(number), at + (8 if wire == _EIGHT else 4)
        else:
            raise IntegrityError(f"byte {at} of it is of no type that there is")
        if not number or after > end:
            raise IntegrityError(f"it is cut off or damaged: what begins at byte {at} would end at {after} of {end}")
        return field, after

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        for byte in self._read(at, min(_LONGEST_VARINT, end - at)):
            value |= (byte & 0x7F) << shift
            shift += 7
            at += 1
            if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint has no high bit
                return value, at
        raise IntegrityError(f"it is cut off or damaged: no number ends at byte {at}")

    def _read(self, at: int, count: int) -> bytes:
        begin = at - self._at
        if begin < 0 or begin + count > len(self._window):
            self._file.seek(at)
            self._at, self._window, begin = at, self._file.read(max(_WINDOW, count)), 0
        return self._window[begin : begin + count]
