"""Uploads that outlive their process: where a registry goes on with a blob, kept until the blob is there.

One file a blob and repository, locked by whoever sends it; who finds it locked sends the blob by itself. What is kept
may be out of date, or a registry may have forgotten the upload: it costs one question then. An address may hold what
lets anybody write, so the files are their owner's alone.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.oci.digest import Digest
from tiffin.store.remote.address import Address

_PRIVATE = 0o600
_LASTS = 7 * 24 * 3600
"""Seconds after which registries have forgotten an upload too."""


class Bookmark:
    """Where the upload of one blob goes on; one without a file remembers nothing."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        """Read what the file says, if anything."""
        self._file = file
        self.location = _read(file) if file else ""

    def keep(self, location: str) -> None:
        """Remember the address, for the process that may come after this one."""
        if self._file:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(msgspec.json.encode(location))

    def forget(self) -> None:
        """Remember nothing: the blob is there, or has to be sent from its first byte."""
        if self._file:
            self._file.truncate(0)


class Bookmarks:
    """A folder of them; losing it costs time and nothing else."""

    def __init__(self, folder: Path) -> None:
        """Keep them in this folder."""
        self._folder = folder

    @contextmanager
    def of(self, address: Address, digest: Digest) -> Iterator[Bookmark]:
        """Have the bookmark of a blob in a repository while it is sent."""
        path = self._folder / Digest.of(f"{address.host}/{address.repository}@{digest}".encode()).hex
        self._folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE), "r+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield Bookmark()
            else:
                try:
                    yield Bookmark(file)
                finally:
                    if not os.fstat(file.fileno()).st_size:
                        path.unlink(missing_ok=True)

    def sweep(self) -> int:
        """Delete what no registry goes on with any more; returns how many files."""
        old, swept = time.time() - _LASTS, 0
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < old:
                    path.unlink()
                    swept += 1
        return swept


def _read(file: BinaryIO) -> str:
    try:
        return msgspec.json.decode(file.read(), type=str)
    except msgspec.MsgspecError:
        return ""  # new, or its writer was killed while it wrote
