"""What is kept of a file while its bytes pass by on their way into a layer, or out of one."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from typing import IO, BinaryIO

from tiffin.errors import IntegrityError
from tiffin.layers.elf import MAGIC, Elf, read_elf, read_headers

Reopen = Callable[[], BinaryIO]

_WHOLE = 16 << 20
"""Bytes of the biggest file of which all is kept when it can be opened again."""
_HEAD = 1 << 20
"""Bytes that are kept of the beginning of a bigger one."""
_IN_MEMORY = 32 << 20
"""Bytes that are kept in memory; more go through a file."""
_BLOCK = 1 << 20


class Text:
    """A text, kept."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def take(self, piece: bytes | memoryview) -> bool:
        """Take the next bytes; says whether more are wanted."""
        self._parts.append(bytes(piece))
        return True

    @property
    def text(self) -> str:
        """The text."""
        return b"".join(self._parts).decode("utf-8", "replace")


class PossibleElf:
    """A file that may be ELF: what the linker would read of it is kept, or all of it where it cannot be opened again.

    The linker's tables are at the beginning of most files, but for the dynamic segment, which is near the end.
    """

    def __init__(self, size: int, reopen: Reopen | None) -> None:
        """Begin a file of `size` bytes."""
        self._keep = size if reopen is None or size <= _WHOLE else _HEAD
        self._size = size
        self._reopen = reopen
        self._first = b""
        self._kept: IO[bytes] | None = None
        self._at = 0
        self._dynamic, self._dynamic_at, self._dynamic_end = bytearray(), 0, 0

    def take(self, piece: bytes | memoryview) -> bool:
        """Take the next bytes; says whether more are wanted."""
        if self._kept is None:
            self._first += piece
            if len(self._first) < len(MAGIC):
                return True
            if not self._first.startswith(MAGIC):
                return False
            self._kept = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - `elf` closes it
            piece = self._first
        if self._at < self._keep:
            self._kept.write(piece[: self._keep - self._at])
            if self._at + len(piece) >= self._keep < self._size:
                self._find_dynamic()
        begin, end = max(self._dynamic_at - self._at, 0), self._dynamic_end - self._at
        if begin < min(end, len(piece)):
            self._dynamic += piece[begin:end]
        self._at += len(piece)
        return True

    def elf(self, stem: str) -> Elf | None:
        """Read the file, of which all has passed; raises IntegrityError."""
        if self._kept is None:
            return None
        with self._kept:
            if self._reopen is None:
                return read_elf(self._read, stem)
            with contextlib.closing(Rewinding(self._reopen)) as rest:
                return read_elf(lambda offset, size: self._read(offset, size, rest), stem)

    def _find_dynamic(self) -> None:
        """Learn from the beginning where the dynamic segment is going to come."""
        try:
            headers = read_headers(self._read)
        except IntegrityError:
            return  # it will be raised again when the file is read
        if headers and headers.dynamic >= self._keep:
            self._dynamic_at, self._dynamic_end = headers.dynamic, headers.dynamic + headers.dynamic_size

    def _read(self, offset: int, size: int, rest: Rewinding | None = None) -> bytes:
        if offset + size <= self._keep or rest is None:
            if self._kept is None or offset >= self._size:
                return b""
            self._kept.seek(offset)
            return self._kept.read(size)
        if offset == self._dynamic_at and size == len(self._dynamic):
            return bytes(self._dynamic)
        return rest.read(min(offset, self._size), size)


class Rewinding:
    """A stream that can be read from anywhere: going back opens it anew."""

    def __init__(self, reopen: Reopen) -> None:
        self._reopen = reopen
        self._stream: BinaryIO | None = None
        self._at = 0
        self._block, self._begin = b"", 0

    def read(self, offset: int, size: int) -> bytes:
        """Read from an offset; fewer bytes where the stream ends."""
        if not self._begin <= offset <= offset + size <= self._begin + len(self._block):
            self._go_to(offset)
            self._begin, self._block = offset, self._next(max(size, _BLOCK))
        return self._block[offset - self._begin :][:size]

    def close(self) -> None:
        """Close the stream."""
        if self._stream:
            self._stream.close()

    def _go_to(self, offset: int) -> None:
        if self._stream is None or offset < self._at:
            self.close()
            self._stream, self._at = self._reopen(), 0
        while self._at < offset and self._next(min(offset - self._at, _BLOCK)):
            pass

    def _next(self, size: int) -> bytes:
        parts = []
        while size and self._stream and (data := self._stream.read(size)):
            parts.append(data)
            size -= len(data)
            self._at += len(data)
        return b"".join(parts)
