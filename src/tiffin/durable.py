"""Files that appear whole or not at all, locks that die with their process, and disks that are full."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tiffin.errors import FullError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What the kernel says when something does not fit in."""


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def renamed(target: Path, *, by_way_of: Path | None = None, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Write a file, readable by all whatever the umask, that takes the place of `target` when the context ends well.

    There is one temporary name for each target, locked while somebody writes it: who writes the same target waits, and
    what a killed process left behind under it is written over. `by_way_of` is the folder of the temporary name, for
    targets that may never be written again: let `sweep` look through it. Raises FullError where there is no room.
    """
    temporary = (by_way_of or target.parent) / f".{target.name}.new"
    with room_in(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.parent.mkdir(exist_ok=True)
    with room_in(target.parent), _only_writer(temporary, mode) as file:
        try:
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink()
            raise
        sync_directory(target.parent)


def sweep(folder: Path, seconds: float = 0) -> int:
    """Delete the files of a folder that nobody has locked: what processes that died left behind; returns how many.

    What was written within the last `seconds` stays.
    """
    swept, before = 0, time.time() - seconds if seconds else math.inf
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):
            swept += sweep_file(path, before)
    return swept


def sweep_file(path: Path, before: float) -> bool:
    """Delete a file that nobody has locked and nobody wrote since `before`; says whether it is gone by that."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if old := os.fstat(file.fileno()).st_mtime <= before and leads_to(path, file):
            path.unlink()
        return old


@contextmanager
def _only_writer(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Open an empty file that nobody else writes, once whoever had it before has renamed it away or died."""
    while True:
        with open(path, "ab", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if leads_to(path, file):
                file.truncate(0)
                yield file
                return


def leads_to(path: Path, file: BinaryIO) -> bool:
    """Say whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


@contextmanager
def room_in(folder: Path, what: str = "what was being written") -> Iterator[None]:
    """Raise FullError, naming the folder and what is left there, where something does not fit in."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise full(error, folder, what) from error


def full(error: OSError, place: Path | None, what: str = "what was being written") -> FullError:
    """Say what is used up, in which folder where that is known, and how to make room."""
    folder = next((path for path in (place, *place.parents) if path.is_dir()), place) if place else None
    where = str(folder or "a folder")
    if error.errno == errno.EDQUOT:
        return FullError(f"your quota in {where} is used up", "delete something there; `quota -s` shows what you have")
    if error.errno == errno.EFBIG:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        allowed = f"{limit} bytes" if limit != resource.RLIM_INFINITY else "the file system allows"
        return FullError(f"a file in {where} would be larger than {allowed}", "raise the limit: `ulimit -f unlimited`")
    if folder is None:
        return FullError("no space left on a disk", "`df -h` shows which one is full; make room there")
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize / 1e6
    return FullError(
        f"no room in {where}: {what} needs more than the {free:.1f} MB that are free",
        f"`du -xsh {where}/*` shows what takes it; delete some, or let TIFFIN_HOME or TMPDIR name a bigger disk",
    )


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; the kernel frees it when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
