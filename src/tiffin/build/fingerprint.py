"""Digests of the user's files, remembered by what the file system says of them, as git's index does.

A file is hashed again when its size, inode, mtime or ctime changed. One that was written in the same tick as it was
hashed is not remembered, since a second write could leave all four as they were ("racy git").
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from tiffin.build.recipes import SourceFile
from tiffin.errors import ConfigError, DeniedError
from tiffin.oci.digest import Digest
from tiffin.progress import parallel
from tiffin.store.records import Records

TICK_NS = 20_000_000
"""Nanoseconds within which a file system may give two writes the same time."""


_BATCH_SIZE, _BATCH_COUNT = 4 << 20, 256
"""Bytes and number of files that are hashed together."""

Stamp = tuple[int, int, int, int]
"""Size in bytes, inode, and the nanoseconds of mtime and ctime."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What a file was when it was hashed."""

    stamp: Stamp
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
        """Describe files, given as path in the image -> path here; sorted by path in the image.

        Those that are as they were are only asked for what the file system says, one after the other: a thread for
        each would cost more. The others are hashed in parallel, small ones several at a time.
        """
        items = [(target, source, _looked_at(source)) for target, source in sorted(wanted.items())]
        digests = {source: seen.digest for _, source, found in items if (seen := self._known(source, found))}
        new = [(source, found) for _, source, found in items if source not in digests]
        for hashed in parallel(self._hash, _batches(new)):
            digests |= hashed
        return tuple(
            SourceFile(path=target, digest=digests[source], size=found.st_size, executable=bool(found.st_mode & 0o111))
            for target, source, found in items
        )

    def save(self) -> None:
        """Remember what was seen, when it differs from what was known."""
        if self._new != self._old:
            self._records.put(self._key, self._new)

    def _known(self, source: Path, found: os.stat_result) -> Seen | None:
        name = str(source)
        seen = self._old.get(name)
        if seen is None or seen.stamp != _stamp(found):
            return None
        self._new[name] = seen
        return seen

    def _hash(self, sources: list[tuple[Path, os.stat_result]]) -> dict[Path, Digest]:
        return {source: self._hash_one(source, _stamp(found)) for source, found in sources}

    def _hash_one(self, source: Path, stamp: Stamp) -> Digest:
        now = time.time_ns()
        try:
            with source.open("rb", buffering=0) as stream:
                seen = Seen(stamp, Digest.of_stream(stream))
        except PermissionError as error:
            raise _unreadable(source) from error
        if now - max(stamp[2:]) >= TICK_NS:
            self._new[str(source)] = seen
        return seen.digest


def _looked_at(source: Path) -> os.stat_result:
    try:
        found = source.stat()
    except PermissionError as error:
        raise _unreadable(source) from error
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{source} is not a regular file", "leave it out of `[image] include`")
    return found


def _unreadable(source: Path) -> DeniedError:
    return DeniedError(f"cannot read {source}", f"`chmod u+r {source}`")


def _stamp(found: os.stat_result) -> Stamp:
    return (found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


def _batches(sources: Iterable[tuple[Path, os.stat_result]]) -> Iterator[list[tuple[Path, os.stat_result]]]:
    """Cut files into parts that are worth a thread's while."""
    batch: list[tuple[Path, os.stat_result]] = []
    size = 0
    for source, found in sources:
        batch.append((source, found))
        size += found.st_size
        if size >= _BATCH_SIZE or len(batch) >= _BATCH_COUNT:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
