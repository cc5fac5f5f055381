"""Digests of the user's files, remembered by what the file system says of them, as git's index does.

A file is hashed again when its size, inode, mtime or ctime changed. One that was written in the same tick as it was
hashed is not remembered, since a second write could leave all four as they were ("racy git").
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from tiffin.build.recipes import SourceFile
from tiffin.errors import ConfigError, DeniedError
from tiffin.oci.digest import Digest
from tiffin.progress import parallel
from tiffin.store.records import Records

TICK_NS = 20_000_000
"""Nanoseconds within which a file system may give two writes the same time."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What a file was when it was hashed."""

    stamp: tuple[int, int, int, int]
    digest: Digest


class Fingerprints:
    """The digests of one project's files; opened before a build and saved after it."""

    def __init__(self, records: Records, folder: Path) -> None:
        """Remember digests of files under `folder` in `records`."""
        self._records = records
        self._key = Digest.of(os.fsencode(folder.resolve()))
        self._old = records.get(self._key, dict[str, Seen]) or {}
        self._new: dict[str, Seen] = {}

    def files(self, wanted: dict[str, Path]) -> tuple[SourceFile, ...]:
        """Describe files, given as path in the image -> path here; sorted by path in the image."""
        return tuple(parallel(lambda item: self._describe(*item), sorted(wanted.items())))

    def save(self) -> None:
        """Remember what was seen, when it differs from what was known."""
        if self._new != self._old:
            self._records.put(self._key, self._new)

    def _describe(self, target: str, source: Path) -> SourceFile:
        try:
            found = source.stat()
            if not source.is_file():
                raise ConfigError(f"{source} is not a regular file", "leave it out of `[image] include`")
            stamp = (found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
            digest = self._digest(source, stamp)
        except PermissionError as error:
            raise DeniedError(f"cannot read {source}", f"`chmod u+r {source}`") from error
        return SourceFile(path=target, digest=digest, size=found.st_size, executable=bool(found.st_mode & 0o111))

    def _digest(self, source: Path, stamp: tuple[int, int, int, int]) -> Digest:
        seen = self._old.get(str(source))
        if seen is None or seen.stamp != stamp:
            now = time.time_ns()
            with source.open("rb") as stream:
                seen = Seen(stamp, Digest.of_stream(stream))
            if now - max(stamp[2:]) < TICK_NS:
                return seen.digest
        self._new[str(source)] = seen
        return seen.digest
