"""The bytes of a pickle: a counted stream, and the arguments of its opcodes.

Opcodes and their arguments follow CPython's Lib/pickletools.py, protocols 0 to 5. Texts longer than a name can be and
all bytes are passed over and never held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Final

import msgspec

from tiffin.oci.digest import CHUNK

LONGEST_NAME = 512
"""Bytes of the longest text that is looked at; nothing imports a longer one."""
LONGEST_LINE = 1 << 16
"""Bytes of the longest line; protocol 0 writes long texts and numbers so."""


class BrokenPickleError(Exception):
    """The bytes are no whole pickle, or none that can be followed."""


class Budget(msgspec.Struct, kw_only=True):
    """What one file may cost, over all its parts."""

    opcodes: int = 50_000_000
    bytes: int = 1 << 62
    values: int = 2_000_000


class Source:
    """A stream that knows where it is and ends with an error."""

    def __init__(self, stream: BinaryIO, budget: Budget) -> None:
        """Read from a stream, within a budget."""
        self._stream = stream
        self.budget = budget
        self.position = 0
        self.frame_end = 0

    def read(self, count: int) -> bytes:
        """Read exactly so many bytes, of which there are few."""
        data = self._stream.read(count)
        if len(data) != count:
            raise BrokenPickleError(f"it ends at byte {self.position + len(data)}, within a pickle")
        self._within(count)
        self._count(count)
        return data

    def frame(self, size: int) -> None:
        """Begin a frame of so many bytes, which nothing that is read may begin in and end behind.

        CPython's unpickler in C forgets what is left of a frame when it reads beyond it, and others do not.
        """
        if self.position < self.frame_end:
            raise BrokenPickleError(f"the frame at byte {self.position} begins within another")
        self.frame_end = self.position + size

    def line(self) -> bytes:
        """Read up to the next line feed, which is left out."""
        data = self._stream.readline(LONGEST_LINE)
        if not data.endswith(b"\n"):
            raise BrokenPickleError(f"the line at byte {self.position} has no end")
        self._within(len(data))
        self._count(len(data))
        return data[:-1]

    def skip(self, count: int) -> None:
        """Pass over bytes without holding them."""
        self._within(count)
        while count > 0:
            data = self._stream.read(min(count, CHUNK))
            if not data:
                raise BrokenPickleError(f"it ends at byte {self.position}, within a pickle")
            self._count(len(data))
            count -= len(data)

    def more(self) -> bytes:
        """Read the next byte; nothing at the end."""
        data = self._stream.read(1)
        self._count(len(data))
        return data

    def _within(self, count: int) -> None:
        if self.position < self.frame_end < self.position + count:
            raise BrokenPickleError(f"what is at byte {self.position} goes beyond the frame that it begins in")

    def _count(self, count: int) -> None:
        self.position += count
        if self.position > self.budget.bytes:
            raise BrokenPickleError(f"it inflates to more than {self.budget.bytes} bytes, as no model does")


class Unknown:
    """A value that names nothing: it cannot become a name, nor a thing that is called."""


UNKNOWN: Final = Unknown()

Argument = str | int | Unknown | None


def _number(size: int, *, signed: bool = False) -> Callable[[Source], Argument]:
    return lambda source: int.from_bytes(source.read(size), "little", signed=signed)


def _skipped(size: int) -> Callable[[Source], Argument]:
    def read(source: Source) -> Argument:
        source.skip(int.from_bytes(source.read(size), "little"))
        return UNKNOWN

    return read


def _text(size: int) -> Callable[[Source], Argument]:
    def read(source: Source) -> Argument:
        count = int.from_bytes(source.read(size), "little")
        if count > LONGEST_NAME:
            source.skip(count)
            return UNKNOWN
        return _decoded(source.read(count))

    return read


def _long(size: int) -> Callable[[Source], Argument]:
    def read(source: Source) -> Argument:
        count = int.from_bytes(source.read(size), "little")
        if count > 16:  # noqa: PLR2004 - wider than any number that matters here
            source.skip(count)
            return UNKNOWN
        return int.from_bytes(source.read(count), "little", signed=True)

    return read


def _line_text(source: Source) -> Argument:
    """A line of Python's "raw-unicode-escape", which is no UTF-8: what is beyond ASCII names nothing."""
    line = source.line()
    return UNKNOWN if b"\\" in line or not line.isascii() else line.decode("ascii")


def _line_quoted(source: Source) -> Argument:
    line = source.line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":  # noqa: PLR2004 - two quotes
        raise BrokenPickleError(f"the text at byte {source.position} has no quotes")
    return UNKNOWN if b"\\" in line else _decoded(line[1:-1])


def _line_number(source: Source) -> Argument:
    text = source.line().strip().removesuffix(b"L")
    return int(text) if text.isdigit() and len(text) < 20 else UNKNOWN  # noqa: PLR2004 - digits of 64 bits


def _line_unknown(source: Source) -> Argument:
    source.line()
    return UNKNOWN


def _eight(source: Source) -> Argument:
    source.skip(8)
    return UNKNOWN


def _decoded(data: bytes) -> Argument:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return UNKNOWN


PUSHES: dict[int, Callable[[Source], Argument]] = {
    ord("I"): _line_number,
    ord("J"): _number(4, signed=True),
    ord("K"): _number(1),
    ord("M"): _number(2),
    ord("L"): _line_number,
    0x8A: _long(1),
    0x8B: _long(4),
    ord("S"): _line_quoted,
    ord("T"): _text(4),
    ord("U"): _text(1),
    ord("B"): _skipped(4),
    ord("C"): _skipped(1),
    0x8E: _skipped(8),
    0x96: _skipped(8),
    ord("V"): _line_text,
    0x8C: _text(1),
    ord("X"): _text(4),
    0x8D: _text(8),
    ord("F"): _line_unknown,
    ord("G"): _eight,
    ord("N"): lambda _: None,
    0x88: lambda _: True,
    0x89: lambda _: False,
    ord("]"): lambda _: UNKNOWN,
    0x8F: lambda _: UNKNOWN,
}
"""Opcodes that push a value, and how it is read from the stream."""
