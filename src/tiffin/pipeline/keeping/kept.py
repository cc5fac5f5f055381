"""Results in the store of images: blobs, then a manifest that names them, then `results/<key>` by one rename.

A result is there when its record is; whatever is killed before leaves blobs that nobody names, which a prune deletes.
What is found is whole: a blob that is missing, or is not what its digest says, is taken away, and the result is made
again. Each read of a large blob is remembered (`content`), so that this costs nothing while nobody touches it.

`taken/<digest>/<name>` is an artifact as a step reads it: a file's own blob, or a folder unpacked once.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from tiffin.durable import room_in
from tiffin.errors import ConflictError, IntegrityError, NotFoundError, TiffinError
from tiffin.oci.digest import CHUNK, Digest
from tiffin.oci.documents import Descriptor
from tiffin.oci.image import DOCUMENT_LIMIT
from tiffin.oci.store import Ingest
from tiffin.pipeline.keeping.artifact import FILE, FOLDER, blob_of, read_manifest, read_result, write_result
from tiffin.pipeline.keeping.content import WORTH, Content, Contents
from tiffin.pipeline.keeping.folders import unpack
from tiffin.pipeline.keeping.outputs import Left, outputs_of, pour_output
from tiffin.pipeline.results import Artifact, Result
from tiffin.pipeline.workbench import Ended, Input, Order
from tiffin.progress import step
from tiffin.store.beginnings import Kept
from tiffin.store.layout import LayoutStore
from tiffin.store.records import Records

GRACE = 3600.0
"""Seconds for which a result that somebody relied on is not forgotten, whatever is asked for."""
_TRIES = 3


class KeptResults:
    """Results of this machine, for all its pipelines."""

    def __init__(self, store: LayoutStore, contents: Contents) -> None:
        """Keep them in this store; `contents` knows what was read of it before."""
        self.store = store
        self._contents = contents
        self._records = Records(store.root / "results")
        self._taken = store.root / "taken"

    def find(self, key: Digest) -> Result | None:
        """The result of a key; None where there is none, or not all of it is there and whole. Who asks relies on it."""
        self._records.use(key)  # first, so that nobody forgets it from here on
        descriptor = self.described(key)
        if descriptor is None or not self.store.exists(descriptor) or not self._is_whole(descriptor):
            return None
        try:
            manifest = read_manifest(self.store, descriptor, key)
            if [blob for blob in manifest.blobs if not self._is_whole(blob)]:
                return None
            result = read_result(self.store, manifest)
        except (NotFoundError, IntegrityError):
            return None
        return result if self.described(key) is not None else None

    def described(self, key: Digest) -> Descriptor | None:
        """The manifest of a key's result, where one is recorded."""
        return self._records.get(key, Descriptor)

    def key_of(self, key: Digest) -> bytes | None:
        """The document that a key is the digest of, where it is remembered."""
        try:
            data = (self.store.root / "blobs" / "sha256" / key.hex).read_bytes()
        except FileNotFoundError:
            return None
        return data if len(data) <= DOCUMENT_LIMIT and Digest.of(data) == key else None

    def keep(self, document: bytes, order: Order, ended: Ended, seconds: float) -> Result:
        """Keep what an order has left in its folder; raises CommandError, and FullError where there is no room."""
        outputs = outputs_of(order, ended)
        result = Result(
            key=Digest.of(document),
            values=outputs.values,
            artifacts={left.name: self._keep(order, left) for left in outputs.artifacts},
            attempt=order.attempt,
            seconds=seconds,
            made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        documents = write_result(result, document)
        for blob, data in documents:
            self._put(blob, data)
        self.adopt(result.key, documents[-1][0])
        return result

    def adopt(self, key: Digest, manifest: Descriptor) -> None:
        """Let a key's result be this one, all of which is in the store."""
        self._records.put(key, manifest)

    def take(self, artifact: Artifact) -> Input:
        """Have an artifact lie on this machine; raises NotFoundError or IntegrityError where its content is gone."""
        kind = "folder" if artifact.folder else "file"
        path = self._taken / f"{artifact.digest.hex}.{kind}" / artifact.name
        if not self._lies(path, artifact):
            with self._taking() as new, room_in(self._taken):
                brought = new / artifact.name
                (self._unpack if artifact.folder else self._link)(artifact, brought)
                path.parent.mkdir(exist_ok=True)
                _place(brought, path)
            self._contents.know(path, _content(artifact))
            if not artifact.folder:  # to have one name more, and that moved, is a change of the blob
                self._contents.know(self.store.path(blob_of(artifact)), _content(artifact))
        with suppress(OSError):
            os.utime(path.parent)  # it is relied on
        return Input(
            digest=artifact.digest,
            path=path,
            name=artifact.name,
            type=artifact.type,
            size=artifact.size,
            folder=artifact.folder,
            metadata=artifact.metadata,
            kept=True,
        )

    def roots(self, since: float = 0) -> list[Descriptor]:
        """The manifests of all results that somebody relied on since a time, in seconds since 1970."""
        used = self._records.used()
        kept = self._records.all(Descriptor).items()
        return [manifest for key, manifest in kept if used.get(key, time.time()) >= since]

    def forget(self, older_than: float) -> list[Digest]:
        """Forget the results that nobody relied on for so many seconds; returns their keys. Prunes delete the rest."""
        before = time.time() - max(older_than, GRACE)
        old = [(key, used) for key, used in self._records.used().items() if used < before]
        return [key for key, used in old if self._records.drop(key, used)]

    def taken(self) -> list[Kept]:
        """Every artifact that lies ready to be read, its bytes on the disk, and when somebody last relied on it."""
        found = []
        for path in self._taken.glob("[!.]*"):
            with suppress(OSError):
                size = sum(below.lstat().st_blocks * 512 for below in path.rglob("*"))
                found.append(Kept(digest=Digest("sha256", path.stem), size=size, used=path.stat().st_mtime))
        return found

    def let_go(self, digest: Digest) -> bool:
        """Delete an artifact that lies ready to be read, which nobody does; its blob stays."""
        with self._taking() as new:
            for path in self._taken.glob(f"{digest.hex}.*"):
                with suppress(FileNotFoundError):
                    path.rename(new / path.name)
        return True

    def sweep(self) -> None:
        """Delete what processes that died left half-written."""
        self._records.sweep()
        if self._taken.is_dir():
            with self._taking():
                pass  # whoever is the first there sweeps

    def _keep(self, order: Order, left: Left) -> Artifact:
        """Copy an output into the store, hashed as it is copied: what is kept is what was hashed, whoever writes on."""
        blob = self._ingest(order, left)
        return Artifact(
            digest=blob.digest,
            size=blob.size,
            type=left.type,
            name=left.name,
            folder=left.seen.folder,
            metadata=left.metadata,
        )

    def _ingest(self, order: Order, left: Left) -> Descriptor:
        for _ in range(_TRIES):
            began = time.time_ns()
            with self.store.ingest() as writer, _told("keep", left.name, left.seen.size) as advance:

                def write(data: bytes, writer: Ingest = writer, advance: Callable[[int], object] = advance) -> None:
                    writer.write(data)
                    advance(len(data))

                pour_output(order.step, left, write)
                blob = writer.commit(FOLDER if left.seen.folder else FILE)
            new = self._is_new(blob, began)
            if self.store.exists(blob) and (new or self._is_whole(blob)):
                return blob
        raise _contended(blob)

    def _is_new(self, blob: Descriptor, began: int) -> bool:
        """Say whether a blob came into being since: what was hashed as it was written need not be read once more."""
        path = self.store.path(blob)
        with suppress(FileNotFoundError):
            if path.stat().st_ctime_ns >= began:
                self._contents.know(path, Content(digest=blob.digest, size=blob.size))
                return True
        return False

    def _put(self, blob: Descriptor, data: bytes) -> None:
        for _ in range(_TRIES):
            self.store.put(blob, io.BytesIO(data))
            if self._is_whole(blob):
                return
        raise _contended(blob)

    def _is_whole(self, blob: Descriptor) -> bool:
        """Say whether a blob is here and is what its digest says; one that is not is taken away."""
        path = self.store.path(blob)
        for _ in range(_TRIES):
            try:
                if self._contents.of(path).digest == blob.digest:
                    return True
                there = path.stat()
                self.store.drop(Kept(digest=blob.digest, size=there.st_size, used=there.st_mtime))
            except ConflictError:
                continue  # somebody gave it one name more while it was read
            except (TiffinError, FileNotFoundError):
                pass
            return False
        return False

    def _lies(self, path: Path, artifact: Artifact) -> bool:
        """Say whether what was taken before is still right; a step that wrote to its input may have spoilt it."""
        try:
            if self._contents.of(path) == _content(artifact):
                return True
        except NotFoundError:
            return False
        except TiffinError:
            pass
        with self._taking() as new, suppress(FileNotFoundError):
            path.rename(new / path.name)
        return False

    def _link(self, artifact: Artifact, path: Path) -> None:
        """Let a file's blob have one name more, or copy it where that cannot be."""
        blob = blob_of(artifact)
        if not self._is_whole(blob):
            raise _gone(artifact)
        source = self.store.path(blob)
        try:
            path.hardlink_to(source)
        except OSError:
            with source.open("rb") as reading, path.open("xb") as writing:
                _copy(reading, writing, artifact)
            path.chmod(0o644)

    def _unpack(self, artifact: Artifact, path: Path) -> None:
        path.mkdir()
        path.chmod(0o755)
        with (
            _told("unpack", artifact.name, artifact.size),
            self.store.open(blob_of(artifact)) as blob,
        ):
            if unpack(blob, artifact.size, path) != artifact.digest:
                raise _gone(artifact)

    @contextmanager
    def _taking(self) -> Iterator[Path]:
        """Have a new folder beside what is taken; the first of several removes what was left by processes that died."""
        with room_in(self.store.root):
            self._taken.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._taken, os.O_RDONLY | os.O_DIRECTORY)
        new = self._taken / f".new-{os.urandom(8).hex()}"
        try:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for left in self._taken.glob(".new-*"):
                    shutil.rmtree(left, ignore_errors=True)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            with room_in(self._taken):
                new.mkdir()
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)
            os.close(descriptor)


@contextmanager
def _told(verb: str, name: str, size: int) -> Iterator[Callable[[int], object]]:
    """Tell of work that takes a while; gives what tells how far it is."""
    if size < WORTH:
        yield bool
        return
    with step(verb, name, total=size, unit="bytes") as running:
        yield running.advance


def _content(artifact: Artifact) -> Content:
    return Content(digest=artifact.digest, size=artifact.size, folder=artifact.folder)


def _place(new: Path, path: Path) -> None:
    """Let what is whole appear; what somebody else was faster with is the same."""
    try:
        new.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def _copy(reading: io.BufferedReader, writing: io.BufferedWriter, artifact: Artifact) -> None:
    hashed = hashlib.sha256()
    while data := reading.read(CHUNK):
        hashed.update(data)
        writing.write(data)
    if hashed.hexdigest() != artifact.digest.hex:
        raise _gone(artifact)


def _gone(artifact: Artifact) -> IntegrityError:
    return IntegrityError(
        f"the content of {artifact.name}, {artifact.digest}, is damaged", "run again: what gave it is done anew"
    )


def _contended(blob: Descriptor) -> ConflictError:
    return ConflictError(f"{blob.digest} is deleted as often as it is written", "run again when no prune runs")
