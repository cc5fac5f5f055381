"""An OCI image layout on disk: `oci-layout`, `index.json`, `blobs/sha256/<hex>` (image-spec, image-layout.md).

Content is written under a temporary name, checked, made durable and only then renamed into place, so that what is
visible is whole, whatever is killed when. A temporary file is locked by whoever writes it; one that is not locked was
left behind by a process that died, and is swept away; unless it is the beginning of a large blob (`beginnings`), which
the next one goes on with. Several processes may use a layout at once.

A layout that may be pruned is told so: a process that uses it holds a lock for as long as it lives, and what it relies
on carries the time of that. So who prunes knows whether somebody is at work, and what for.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tiffin.durable import lock, renamed, room_in, sweep, sync_directory
from tiffin.errors import IntegrityError, NotFoundError, UnsupportedError
from tiffin.oci.digest import CHUNK, Digest
from tiffin.oci.documents import Descriptor, Index, decode_foreign, encode
from tiffin.oci.referrers import subject_of
from tiffin.store.beginnings import Beginnings, Kept

REF_NAME = "org.opencontainers.image.ref.name"
MARK = b'{"imageLayoutVersion":"1.0.0"}'
"""What the file `oci-layout` says."""
LARGE = 64 << 20
"""Bytes of which it is a pity."""
FRESH_SECONDS = 600
"""How exactly the time is known at which a blob was last relied on."""

_using: dict[Path, int] = {}
"""The locks that this process holds on layouts, until it ends."""
_joining = threading.Lock()


class LayoutStore:
    """The store every verb works on."""

    def __init__(self, root: Path, *, pruned: bool = False, large: int = LARGE) -> None:
        """Open the layout at `root`; it comes into being with the first write. `pruned` says that it may be pruned.

        What came of a blob of more than `large` bytes is kept when its source breaks off.
        """
        self.root = root
        self._large = large
        self.beginnings = Beginnings(root / "begun")
        self._pruned = pruned
        self._blobs = root / "blobs" / "sha256"
        self._temporary = root / "tmp"

    def path(self, descriptor: Descriptor) -> Path:
        """Where the content is, or would be."""
        return self._blobs / descriptor.digest.hex

    def exists(self, descriptor: Descriptor) -> bool:
        """Say whether the whole content is here; who asks relies on the answer."""
        return self.holds(descriptor)

    def holds(self, descriptor: Descriptor) -> bool:
        """Say whether the whole content lies in this layout itself; who asks relies on the answer."""
        self._join()
        path = self.path(descriptor)
        try:
            found = path.stat()
            if self._pruned and time.time() - found.st_mtime > FRESH_SECONDS:
                _touch(path)
        except FileNotFoundError:
            return False
        return found.st_size == descriptor.size

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Open the content for reading; raises NotFoundError where it is absent."""
        self._join()
        try:
            return self.path(descriptor).open("rb")
        except FileNotFoundError:
            raise NotFoundError(
                f"{self.root} has no blob {descriptor.digest}", "build or pull the image again"
            ) from None

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        """Keep the content, whole or not at all; raises IntegrityError when digest or size differ.

        A large blob that somebody began to keep is gone on with: what is there is not read from the stream.
        """
        if self.holds(descriptor):
            return
        with self._writing(descriptor) as writer:
            if known := writer.take_up():
                stream.seek(known)
            writer.pour(stream)
            if known and not writer.has(descriptor):  # a machine that lost its power may have kept what never came
                writer.begin_anew()
                stream.seek(0)
                writer.pour(stream)
            writer.check(descriptor)
            writer.commit(descriptor.media_type)

    @contextmanager
    def _writing(self, descriptor: Descriptor) -> Iterator[LayoutIngest]:
        """Begin to write a blob, or go on with it where it is large and nobody else writes it."""
        what = f"{descriptor.digest} of {descriptor.size} bytes"
        if descriptor.size > self._large:
            with room_in(self.root, what):
                self._prepare()
            with room_in(self.root, what), self.beginnings.of(descriptor.digest) as begun:
                if begun:
                    yield LayoutIngest(*begun, self._blobs)
                    return
        with self._ingest(what) as writer:
            yield writer

    def ingest(self) -> AbstractContextManager[LayoutIngest]:
        """Begin to write content whose digest is not known yet; what is not committed leaves no trace."""
        return self._ingest("what was being written")

    @contextmanager
    def _ingest(self, what: str) -> Iterator[LayoutIngest]:
        with room_in(self.root, what):
            self._prepare()
        with room_in(self.root, what), self._new() as (path, file):
            yield LayoutIngest(file, path, self._blobs)

    @contextmanager
    def _new(self) -> Iterator[tuple[Path, BinaryIO]]:
        """Make a temporary file that nobody sweeps away, and leave none."""
        while True:
            path = self._temporary / f"blob-{os.urandom(8).hex()}"
            with path.open("x+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not path.exists():
                    continue  # a sweep came before the lock
                try:
                    yield path, file
                finally:
                    path.unlink(missing_ok=True)
                return

    def resolve(self, name: str) -> Descriptor:
        """Return what the name means; raises NotFoundError that lists near names."""
        self._join()
        names = self.names()
        if name not in names:
            there = ", ".join(sorted(names)[:8]) or "none yet"
            raise NotFoundError(f"no image named {name}", f"images here: {there}; `tiffin images` lists them all")
        return names[name]

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let the name mean this descriptor from now on; one that does already is not written again."""
        known = self.names().get(name)
        if known is None or known.digest != descriptor.digest:
            with self._changing() as (names, _):
                names[name] = descriptor

    def untag(self, name: str) -> None:
        """Forget the name; raises NotFoundError."""
        self.resolve(name)
        with self._changing() as (names, _):
            names.pop(name, None)

    def names(self) -> dict[str, Descriptor]:
        """Every name and what it means."""
        return {d.annotations[REF_NAME]: d for d in self._manifests() if REF_NAME in d.annotations}

    def only(self) -> Descriptor:
        """Return the one image that is here, named or not; raises UnsupportedError where there is not one."""
        found = {image.digest: image for image in self._manifests() if subject_of(self, image) is None}
        if len(found) != 1:
            there = ", ".join(sorted(self.names())) or f"{len(found)} without names"
            raise UnsupportedError(f"{self.root} has not one image: {there}", "say which: put `:NAME` after the path")
        return next(iter(found.values()))

    def referrers(self, subject: Descriptor) -> list[Descriptor]:
        """Return the manifests that have this subject, each with its artifact type and annotations."""
        return [found for found in self._unnamed().values() if subject_of(self, found) == subject.digest]

    def refer(self, manifest: Descriptor, subject: Descriptor) -> None:  # noqa: ARG002 - the manifest itself says it
        """Let a manifest that is here, and has this subject, be found among its referrers."""
        if manifest.digest not in self._unnamed():
            with self._changing() as (_, unnamed):
                unnamed[manifest.digest] = manifest

    def sweep(self) -> int:
        """Delete what processes that died left half-written, and nobody went on with; returns how many files."""
        return sweep(self._temporary) + self.beginnings.sweep()

    def blobs(self) -> list[Kept]:
        """Every blob that lies here, whoever speaks of it."""
        found = []
        for path in self._blobs.iterdir() if self._blobs.is_dir() else ():
            with suppress(FileNotFoundError):
                seen = path.stat()
                found.append(Kept(digest=Digest("sha256", path.name), size=seen.st_size, used=seen.st_mtime))
        return found

    def drop(self, blob: Kept) -> bool:
        """Delete a blob unless somebody has come to rely on it since it was seen; says whether it is gone."""
        path, gone = self._blobs / blob.digest.hex, self._temporary / f"gone-{os.urandom(8).hex()}"
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # so that no sweep takes it while it may have to go back
                path.rename(gone)
                if gone.stat().st_mtime > blob.used:
                    gone.rename(path)
                    return False
                gone.unlink()
        except FileNotFoundError:
            pass  # somebody else deleted it
        return True

    def forget(self, digests: Iterable[Digest]) -> None:
        """Let manifests that speak of others be listed no more."""
        with self._changing() as (_, unnamed):
            for digest in digests:
                unnamed.pop(digest, None)

    def listed(self) -> list[Descriptor]:
        """What has no name and is listed: manifests that speak of others."""
        return list(self._unnamed().values())

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep everybody else from using the layout while the block runs; gives False where somebody does already."""
        self._prepare()
        self._join()
        held = _using[self.root]
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(held, fcntl.LOCK_SH)  # the attempt may have given it up
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(held, fcntl.LOCK_SH)

    def _join(self) -> None:
        """Be one of those who use the layout, until this process ends."""
        if not self._pruned or self.root in _using:
            return
        with _joining, suppress(OSError):  # nothing is there, or it is somebody else's, who alone may prune it
            if self.root not in _using:
                held = os.open(self.root / "use.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                fcntl.flock(held, fcntl.LOCK_SH)
                _using[self.root] = held

    def _prepare(self) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._temporary.mkdir(exist_ok=True)
        marker = self.root / "oci-layout"
        if not marker.exists():
            with renamed(marker, by_way_of=self._temporary) as file:
                file.write(MARK)
        self._join()

    def _manifests(self) -> list[Descriptor]:
        path = self.root / "index.json"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return []
        return decode_foreign(Index, data, str(path)).manifests

    def _unnamed(self) -> dict[Digest, Descriptor]:
        """What the index lists without a name: manifests that speak of others."""
        return {found.digest: found for found in self._manifests() if REF_NAME not in found.annotations}

    @contextmanager
    def _changing(self) -> Iterator[tuple[dict[str, Descriptor], dict[Digest, Descriptor]]]:
        """Change what has a name and what has none; both are written sorted."""
        self._prepare()
        with lock(self.root / "index.lock"):
            names, unnamed = self.names(), self._unnamed()
            yield names, unnamed
            manifests = [_named(name, descriptor) for name, descriptor in sorted(names.items())]
            manifests += [descriptor for _, descriptor in sorted(unnamed.items())]
            with renamed(self.root / "index.json", by_way_of=self._temporary) as file:
                file.write(encode(Index(manifests=manifests)))


def _touch(path: Path) -> None:
    """Let a file's time be now; raises FileNotFoundError."""
    try:
        os.utime(path)
    except FileNotFoundError:
        raise
    except OSError:
        pass  # somebody else's, who alone may prune it


def _named(name: str, descriptor: Descriptor) -> Descriptor:
    return Descriptor(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        annotations=descriptor.annotations | {REF_NAME: name},
        platform=descriptor.platform,
    )


class LayoutIngest:
    """Content on its way into a layout; hashed as it is written."""

    def __init__(self, file: BinaryIO, path: Path, blobs: Path) -> None:
        self._file = file
        self._path = path
        self._blobs = blobs
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._size += len(data)

    def pour(self, stream: BinaryIO) -> None:
        """Append what is left in a stream."""
        while data := stream.read(CHUNK):
            self.write(data)

    def take_up(self) -> int:
        """Count what is in the file already as written; returns how many bytes that is."""
        while data := self._file.read(CHUNK):
            self._hash.update(data)
            self._size += len(data)
        return self._size

    def begin_anew(self) -> None:
        """Forget what was written."""
        self._file.truncate(0)
        self._hash, self._size = hashlib.sha256(), 0

    def has(self, descriptor: Descriptor) -> bool:
        """Say whether what was written is what the descriptor says."""
        return self._hash.hexdigest() == descriptor.digest.hex and self._size == descriptor.size

    def check(self, descriptor: Descriptor) -> None:
        """Raise IntegrityError unless what was written is what the descriptor says."""
        if not self.has(descriptor):
            got = f"sha256:{self._hash.hexdigest()} of {self._size} bytes"
            raise IntegrityError(
                f"expected {descriptor.digest} of {descriptor.size} bytes, got {got}",
                "the source is damaged or was cut off; fetch it again",
            )

    def commit(self, media_type: str) -> Descriptor:
        """Make the content visible, whole and durable, and describe it."""
        descriptor = Descriptor(media_type=media_type, digest=Digest("sha256", self._hash.hexdigest()), size=self._size)
        target = self._blobs / descriptor.digest.hex
        if not target.exists():
            os.fchmod(self._file.fileno(), 0o644)
            os.fsync(self._file.fileno())
            self._path.rename(target)
            sync_directory(self._blobs)
        return descriptor
