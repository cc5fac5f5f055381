"""Unpacked layers: `unpacked/<diff ID>/`, each whole or absent, made once whoever asks and however many ask at once.

Beside it `unpacked/<diff ID>.<ids>.<chain>/` is the same with owners, for containers with several users (see
docs/adr/0018); the chain stands for the layers below, which say whose a folder is that this one only puts things into.
A layer's folder carries the time at which somebody last relied on it: what is above it hides that from containers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tiffin.engine.embedded.ids import Ids
from tiffin.engine.embedded.trees import discard, make_owned
from tiffin.errors import NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor
from tiffin.oci.store import Store
from tiffin.progress import parallel, step

_CHAIN = 16
Unpack = Callable[[BinaryIO, str, Path, Digest], None]
"""Unpack a blob of a media type into an empty folder, checking that its diff ID is this one."""


FRESH_SECONDS = 600
"""How exactly the time is known at which a layer was last relied on."""


def owned_names(diff_ids: Sequence[Digest], ids: Ids) -> list[str]:
    """What the trees of layers with owners are called: by all that decides them, those below included."""
    chains = (Digest.of("\n".join(diff_ids[: at + 1]).encode()).hex[:_CHAIN] for at in range(len(diff_ids)))
    return [f"{diff_id.hex}.{ids.key}.{chain}" for diff_id, chain in zip(diff_ids, chains, strict=True)]


class Unpacked:
    """The unpacked layers of a data folder."""

    def __init__(self, path: Path, unpack: Unpack) -> None:
        self._path, self._unpack = path, unpack

    def add(self, store: Store, layers: Mapping[Digest, Descriptor]) -> None:
        """Unpack those of these blobs, by diff ID, that are not here yet, layers at once."""
        missing = {diff_id: blob for diff_id, blob in layers.items() if not self._there(self._folder(diff_id))}
        if missing:
            with self._shared():
                parallel(lambda item: self._add(store, item[1], item[0]), missing.items())

    def folders(self, diff_ids: Sequence[Digest]) -> list[Path]:
        """Where these layers lie; raises NotFoundError for one that was not loaded."""
        found = [self._folder(diff_id) for diff_id in diff_ids]
        for diff_id, folder in zip(diff_ids, found, strict=True):
            if not folder.is_dir():
                raise NotFoundError(f"layer {diff_id} is not unpacked", "build or pull the image again")
        return found

    def all(self) -> dict[Digest, float]:
        """Every layer that is here, and when somebody last relied on it, in seconds since 1970."""
        found = {}
        for path in self._plain():
            with contextlib.suppress(FileNotFoundError):
                found[Digest("sha256", path.name)] = path.stat().st_mtime
        return found

    def size(self, diff_id: Digest) -> int:
        """Bytes that a layer takes on the disk."""
        return sum(_size(path) for path in (self._folder(diff_id), *self._owned(diff_id)))

    def drop(self, diff_id: Digest, used: float) -> bool:
        """Delete a layer unless somebody has come to rely on it since that time; says whether it is gone."""
        gone = self._path / f".gone-{os.urandom(8).hex()}"
        with self._shared():  # so that nobody deletes it while it may have to go back
            try:
                self._folder(diff_id).rename(gone)
            except FileNotFoundError:
                return True
            if gone.stat().st_mtime > used:
                gone.rename(self._folder(diff_id))
                return False
        for tree in self._owned(diff_id):
            tree.rename(gone / tree.name)
        discard(gone)
        return True

    def _there(self, folder: Path) -> bool:
        """Say whether a layer is here; who asks relies on the answer."""
        try:
            if time.time() - folder.stat().st_mtime > FRESH_SECONDS:
                os.utime(folder)
        except FileNotFoundError:
            return False
        except OSError:
            pass  # somebody else's, who alone may prune it
        return True

    def owned(self, diff_ids: Sequence[Digest], ids: Ids) -> list[Path]:
        """Where these layers lie with their owners, made now where they do not; raises as `folders` does."""
        plain = self.folders(diff_ids)
        found = [folder.with_name(name) for folder, name in zip(plain, owned_names(diff_ids, ids), strict=True)]
        if not all(folder.is_dir() for folder in found):
            with self._shared():
                for at, folder in enumerate(found):
                    if not folder.is_dir():
                        self._own(plain[at], folder, found[:at], ids)
        return found

    def _own(self, plain: Path, folder: Path, below: Sequence[Path], ids: Ids) -> None:
        new = self._path / f".new-{os.urandom(8).hex()}"
        new.mkdir()
        try:
            with step("own", plain.name[:12]):
                make_owned(plain, new, below, ids)
            self._place(new, folder)
        finally:
            discard(new)

    def _plain(self) -> Iterator[Path]:
        """Every layer without owners; whose name has a dot is one with them, or not whole."""
        return (path for path in self._path.glob("[!.]*") if "." not in path.name)

    def _owned(self, diff_id: Digest) -> Iterator[Path]:
        """Every tree of a layer with owners."""
        return self._path.glob(f"{diff_id.hex}.*")

    def _folder(self, diff_id: Digest) -> Path:
        return self._path / diff_id.hex

    def _add(self, store: Store, descriptor: Descriptor, diff_id: Digest) -> None:
        new = self._path / f".new-{os.urandom(8).hex()}"
        new.mkdir()
        try:
            with step("unpack", diff_id.short, total=descriptor.size, unit="bytes"), store.open(descriptor) as blob:
                self._unpack(blob, descriptor.media_type, new, diff_id)
            new.chmod(0o755)
            self._place(new, self._folder(diff_id))
        finally:
            discard(new)

    def _place(self, new: Path, folder: Path) -> None:
        """Let a whole folder appear; one that somebody else was faster with is the same."""
        try:
            new.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise

    @contextlib.contextmanager
    def _shared(self) -> Iterator[None]:
        """Be one of those who unpack; the first of them removes what was left by processes that died."""
        self._path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for left in self._path.glob(".*"):
                    discard(left)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)


def _size(folder: Path) -> int:
    return sum(
        (Path(top) / name).lstat().st_blocks * 512
        for top, folders, files in os.walk(folder)
        for name in (*folders, *files)
    )
