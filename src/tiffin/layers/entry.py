"""One path of a layer: the currency every maker of layers deals in."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from typing import BinaryIO

import msgspec

MTIME = 315532800
"""Seconds since the epoch of every path in every layer: 1980-01-01, since zip tools refuse anything older."""


class Kind(Enum):
    """What a path is; devices, fifos and sockets have no place in an image of ours."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class Deflated(msgspec.Struct, frozen=True, kw_only=True):
    """Content that is compressed already: a raw DEFLATE stream, which a gzip layer takes as it is.

    `pieces` yields the stream from its begin to its end in pairs of compressed bytes and what they inflate to, either
    of which may be empty; it raises IntegrityError where stream, size and `crc` (CRC-32) do not agree.
    """

    crc: int
    pieces: Callable[[], Iterator[tuple[bytes, bytes]]]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One path: relative, without `.` or `..`, `/`-separated; owner is always 0:0 and the mtime always `MTIME`."""

    path: str
    kind: Kind
    mode: int
    size: int = 0
    open: Callable[[], BinaryIO] | None = None
    deflated: Deflated | None = None
    link: str = ""

    @classmethod
    def file(cls, path: str, size: int, opener: Callable[[], BinaryIO], *, executable: bool = False) -> Entry:
        """Make a regular file of `size` bytes whose content `opener` opens."""
        return cls(path=path, kind=Kind.FILE, mode=0o755 if executable else 0o644, size=size, open=opener)

    @classmethod
    def of(cls, path: str, data: bytes, *, executable: bool = False) -> Entry:
        """Make a regular file of these bytes."""
        return cls.file(path, len(data), partial(io.BytesIO, data), executable=executable)

    @classmethod
    def directory(cls, path: str, mode: int = 0o755) -> Entry:
        """Make a directory."""
        return cls(path=path, kind=Kind.DIRECTORY, mode=mode)

    @classmethod
    def symlink(cls, path: str, target: str) -> Entry:
        """Make a symbolic link to `target`."""
        return cls(path=path, kind=Kind.SYMLINK, mode=0o777, link=target)
