"""Files and folders known by their content, and not read again while they lie there unchanged.

What was read is remembered with size, times, inode and device of every file in it. As git has it of its index, what was
written within two seconds before it was read is not remembered: written once more it might look the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from tiffin.errors import FullError, NotFoundError, TiffinError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.pipeline.keeping.folders import Seen, denied, digest_of, look
from tiffin.pipeline.workbench import Input
from tiffin.progress import step
from tiffin.store.records import Records

WORTH = 1 << 20
"""Bytes from which on it is faster to remember a digest than to make it anew."""
RACY = 2_000_000_000
"""Nanoseconds within which a file may be written twice and have one time."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What lies at a path: the digest of a file, or of a folder as one deterministic tar, and its bytes as that."""

    digest: Digest
    size: int
    folder: bool = False


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    signature: str
    content: Content


class Contents:
    """Digests of what lies on this machine, remembered in a folder that may be deleted at any time."""

    def __init__(self, known: Records, clock: Callable[[], int] = time.time_ns) -> None:
        """Remember them here; `clock` gives nanoseconds since 1970."""
        self._known, self._clock = known, clock

    def of(self, path: Path) -> Content:
        """Know a file or folder by its content; what `path` itself links to is meant.

        Raises NotFoundError, DeniedError for what may not be read, UnsupportedError for what no folder of ours may
        have, and ConflictError for what changes while it is read.
        """
        real, began = _resolved(path), self._clock()
        seen = look(real)
        if known := self._remembered(seen):
            return known
        content = Content(digest=_read(seen, path.name), size=seen.size, folder=seen.folder)
        if seen.newest < began - RACY:
            self._remember(seen, content)
        return content

    def know(self, path: Path, content: Content) -> None:
        """Remember what was written to a path just now by ourselves, and by nobody else."""
        with suppress(TiffinError):
            self._remember(look(path), content)

    def changed(self, given: Input) -> bool:
        """Say whether an input is no longer what a step was told that it is."""
        try:
            content = self.of(given.path)
        except TiffinError:
            return True
        return (content.digest, content.folder) != (given.digest, given.folder)

    def input(self, path: Path, type_: str) -> Input:
        """Take what lies at a path as an artifact of a type; raises as `of` does."""
        content, real = self.of(path), path.resolve()
        name = path.name or real.name
        return Input(digest=content.digest, path=real, name=name, type=type_, size=content.size, folder=content.folder)

    def _remembered(self, seen: Seen) -> Content | None:
        known = self._known.get(_key(seen), _Known) if _is_worth(seen) else None
        return known.content if known and known.signature == seen.signature else None

    def _remember(self, seen: Seen, content: Content) -> None:
        if _is_worth(seen):
            known = _Known(path=os.fsdecode(seen.root), signature=seen.signature, content=content)
            with suppress(FullError, OSError):  # it costs time that it is not remembered, and nothing else
                self._known.put(_key(seen), known)


def _read(seen: Seen, name: str) -> Digest:
    """Read all of it, and tell of it where that takes a while."""
    if not _is_worth(seen):
        return digest_of(seen)
    with step("digest", name, total=seen.size, unit="bytes") as running:
        return digest_of(seen, running.advance)


def _key(seen: Seen) -> Digest:
    return Digest.of(os.fsencode(seen.root))


def _is_worth(seen: Seen) -> bool:
    return seen.size >= WORTH


def _resolved(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{path} is not there", f"name a file or folder that is: `ls {path.parent}` shows what is there"
        ) from error
    except PermissionError as error:
        raise denied(error) from error
    except (RuntimeError, OSError) as error:
        raise UnsupportedError(f"{path} is a link that leads to itself", "let it lead to a file or folder") from error
