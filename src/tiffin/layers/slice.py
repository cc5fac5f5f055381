"""Some bytes of a file, as a file of their own."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, cast


def open_slice(file: BinaryIO, offset: int, size: int) -> BinaryIO:
    """Open `size` bytes of a file from `offset` on; several may be read at once: none moves the file's position."""
    return cast("BinaryIO", io.BufferedReader(_Slice(file, offset, size)))


class _Slice(io.RawIOBase):
    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        super().__init__()
        self._file, self._offset, self._end = file, offset, offset + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the stub's Buffer is not indexable
        view = memoryview(buffer)[: self._end - self._offset]
        count = os.preadv(self._file.fileno(), [view], self._offset)
        self._offset += count
        return count
