"""A store in memory: for tests of decisions, and the second implementation that keeps the seam honest."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from tiffin.errors import IntegrityError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor


class MemoryStore:
    """Blobs and names in dictionaries."""

    def __init__(self) -> None:
        self._blobs: dict[Digest, bytes] = {}
        self._names: dict[str, Descriptor] = {}
        self._referrers: dict[Digest, dict[Digest, Descriptor]] = {}

    def exists(self, descriptor: Descriptor) -> bool:
        """Say whether the whole content is here."""
        return descriptor.digest in self._blobs

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Open the content for reading; raises NotFoundError where it is absent."""
        if descriptor.digest not in self._blobs:
            raise NotFoundError(f"no blob {descriptor.digest}")
        return io.BytesIO(self._blobs[descriptor.digest])

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        """Keep the content; raises IntegrityError when digest or size differ."""
        data = stream.read(descriptor.size + 1)
        if len(data) != descriptor.size or Digest.of(data) != descriptor.digest:
            raise IntegrityError(f"{descriptor.digest}: the bytes given have another digest or size")
        self._blobs[descriptor.digest] = data

    @contextmanager
    def ingest(self) -> Iterator[MemoryIngest]:
        """Begin to write content whose digest is not known yet."""
        yield MemoryIngest(self._blobs)

    def resolve(self, name: str) -> Descriptor:
        """Return what the name means; raises NotFoundError."""
        if name not in self._names:
            raise NotFoundError(f"no image named {name}")
        return self._names[name]

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let the name mean this descriptor from now on."""
        self._names[name] = descriptor

    def untag(self, name: str) -> None:
        """Forget the name; raises NotFoundError."""
        self.resolve(name)
        del self._names[name]

    def names(self) -> dict[str, Descriptor]:
        """Every name and what it means."""
        return dict(self._names)

    def referrers(self, subject: Descriptor) -> list[Descriptor]:
        """Return the manifests that have this subject, each with its artifact type and annotations."""
        return list(self._referrers.get(subject.digest, {}).values())

    def refer(self, manifest: Descriptor, subject: Descriptor) -> None:
        """Let a manifest that is here, and has this subject, be found among its referrers."""
        self._referrers.setdefault(subject.digest, {})[manifest.digest] = manifest


class MemoryIngest:
    """Content on its way into a MemoryStore."""

    def __init__(self, blobs: dict[Digest, bytes]) -> None:
        self._blobs = blobs
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._parts.append(bytes(data))

    def commit(self, media_type: str) -> Descriptor:
        """Make the content visible and describe it."""
        data = b"".join(self._parts)
        descriptor = Descriptor.of(data, media_type)
        self._blobs[descriptor.digest] = data
        return descriptor
