"""Beginnings of large blobs, kept when a source breaks off or a process is killed, for the next one to go on with.

A beginning is written in order, by one process at a time, so its length says how much of it there is, and nothing else
has to be recorded. Nobody trusts it: the whole blob is hashed, and one that does not come out right is thrown away.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.durable import leads_to, sweep, sweep_file
from tiffin.errors import IntegrityError
from tiffin.oci.digest import Digest

_LASTS = 7 * 24 * 3600
"""Seconds after which nobody is expected to go on."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A blob, or its beginning, as it lies here, and when somebody last relied on it, in seconds since 1970."""

    digest: Digest
    size: int
    used: float


class Beginnings:
    """A folder of them, each under the hex digits of the whole blob's digest."""

    def __init__(self, folder: Path) -> None:
        """Keep them in this folder, which comes into being with the first."""
        self._folder = folder

    @contextmanager
    def of(self, digest: Digest) -> Iterator[tuple[BinaryIO, Path] | None]:
        """Have what there is of a blob to append to, and where it lies; None while another process has it.

        It stays when its source breaks off or this process ends, and goes when it is wrong, does not fit in, or the
        blob has come from elsewhere meanwhile.
        """
        self._folder.mkdir(exist_ok=True)
        path = self._folder / digest.hex
        with path.open("a+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            if not leads_to(path, file):  # the blob is there now, or was given up
                yield None
                return
            file.seek(0)
            try:
                yield file, path
            except (IntegrityError, OSError):
                _delete(path, file)
                raise
            _delete(path, file)

    def all(self) -> list[Kept]:
        """Every beginning that lies here."""
        found = []
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            with suppress(FileNotFoundError):
                seen = path.stat()
                found.append(Kept(digest=Digest("sha256", path.name), size=seen.st_size, used=seen.st_mtime))
        return found

    def drop(self, kept: Kept) -> bool:
        """Delete one unless somebody went on with it since it was seen; says whether it is gone."""
        with suppress(FileNotFoundError):
            return sweep_file(self._folder / kept.digest.hex, kept.used)
        return True

    def sweep(self) -> int:
        """Delete those that nobody is expected to go on with; returns how many."""
        return sweep(self._folder, _LASTS)


def _delete(path: Path, file: BinaryIO) -> None:
    """Delete a file that is ours alone, unless it has become the blob."""
    if leads_to(path, file):
        path.unlink()
