"""An OCI image layout on disk: `oci-layout`, `index.json`, `blobs/sha256/<hex>` (image-spec, image-layout.md).

Content is written under a temporary name, checked, made durable and only then renamed into place, so that what is
visible is whole, whatever is killed when. A temporary file is locked by whoever writes it; one that is not locked was
left behind by a process that died, and is swept away. Several processes may use a layout at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tiffin.durable import lock, renamed, room_in, sweep, sync_directory
from tiffin.errors import IntegrityError, NotFoundError, UnsupportedError
from tiffin.oci.digest import CHUNK, Digest
from tiffin.oci.documents import Descriptor, Index, decode_foreign, encode
from tiffin.oci.referrers import subject_of

REF_NAME = "org.opencontainers.image.ref.name"
MARK = b'{"imageLayoutVersion":"1.0.0"}'
"""What the file `oci-layout` says."""


class LayoutStore:
    """The store every verb works on."""

    def __init__(self, root: Path) -> None:
        """Open the layout at `root`; it comes into being with the first write."""
        self.root = root
        self._blobs = root / "blobs" / "sha256"
        self._temporary = root / "tmp"

    def path(self, descriptor: Descriptor) -> Path:
        """Where the content is, or would be."""
        return self._blobs / descriptor.digest.hex

    def exists(self, descriptor: Descriptor) -> bool:
        """Say whether the whole content is here."""
        try:
            return self.path(descriptor).stat().st_size == descriptor.size
        except FileNotFoundError:
            return False

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Open the content for reading; raises NotFoundError where it is absent."""
        try:
            return self.path(descriptor).open("rb")
        except FileNotFoundError:
            raise NotFoundError(
                f"{self.root} has no blob {descriptor.digest}", "build or pull the image again"
            ) from None

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        """Keep the content, whole or not at all; raises IntegrityError when digest or size differ."""
        if self.exists(descriptor):
            return
        with self.ingest() as writer:
            while data := stream.read(CHUNK):
                writer.write(data)
            writer.check(descriptor)
            writer.commit(descriptor.media_type)

    @contextmanager
    def ingest(self) -> Iterator[LayoutIngest]:
        """Begin to write content whose digest is not known yet; what is not committed leaves no trace."""
        self._prepare()
        path = self._temporary / f"blob-{secrets.token_hex(8)}"
        with room_in(self.root), path.open("xb", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield LayoutIngest(file, path, self._blobs)
            finally:
                path.unlink(missing_ok=True)

    def resolve(self, name: str) -> Descriptor:
        """Return what the name means; raises NotFoundError that lists near names."""
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
        """Delete what processes that died left half-written; returns how many files."""
        return sweep(self._temporary)

    def _prepare(self) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._temporary.mkdir(exist_ok=True)
        marker = self.root / "oci-layout"
        if not marker.exists():
            with renamed(marker) as file:
                file.write(MARK)

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
            with renamed(self.root / "index.json") as file:
                file.write(encode(Index(manifests=manifests)))


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

    def check(self, descriptor: Descriptor) -> None:
        """Raise IntegrityError unless what was written is what the descriptor says."""
        digest = Digest("sha256", self._hash.hexdigest())
        if digest != descriptor.digest or self._size != descriptor.size:
            raise IntegrityError(
                f"expected {descriptor.digest} of {descriptor.size} bytes, got {digest} of {self._size} bytes",
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
