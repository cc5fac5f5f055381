"""Read a file of the user's and make sure that it is the one the plan saw."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from tiffin.build.recipes import SourceFile
from tiffin.errors import ConflictError


def unchanged(path: Path, file: SourceFile) -> Callable[[], BinaryIO]:
    """Return an opener whose stream raises ConflictError at its end when the file is not what the plan saw."""
    return cast("Callable[[], BinaryIO]", partial(_Unchanged, path, file))


class _Unchanged(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, path: Path, file: SourceFile) -> None:
        super().__init__()
        self._path = path
        self._stream = path.open("rb", buffering=0)
        self._expected = file.digest
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Read without the copy that the base class makes of what `readinto` gave."""
        data: bytes = self._stream.read(size)
        self._hash.update(data)
        if size and (size < 0 or not data) and self._hash.hexdigest() != self._expected.hex:
            raise ConflictError(f"{self._path} changed while it was packed", "build again when it is quiet")
        return data

    def readall(self) -> bytes:
        """Read to the end."""
        return self.read()

    def close(self) -> None:
        self._stream.close()
        super().close()
