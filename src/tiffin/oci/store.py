"""The seam that every place with blobs fits: memory, a layout on disk, an archive, a remote registry.

Content is a graph of descriptors. A store answers three questions about one descriptor; further abilities are
Protocols of their own, asked for with `isinstance`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol, runtime_checkable

from tiffin.oci.documents import Descriptor


class Store(Protocol):
    """A place with blobs."""

    def exists(self, descriptor: Descriptor) -> bool:
        """Say whether the whole content is here."""
        ...

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Open the content for reading, and for going back in it; raises NotFoundError where it is absent."""
        ...

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        """Keep the content, whole or not at all; raises IntegrityError when digest or size differ."""
        ...


class Ingest(Protocol):
    """Content being written whose digest is not known yet."""

    def write(self, data: bytes) -> None:
        """Append bytes."""
        ...

    def commit(self, media_type: str) -> Descriptor:
        """Make the content visible, whole and durable, and describe it."""
        ...


@runtime_checkable
class Ingests(Protocol):
    """A store that takes content before its digest is known."""

    def ingest(self) -> AbstractContextManager[Ingest]:
        """Begin to write; what is not committed when the context ends leaves no trace."""
        ...


@runtime_checkable
class Referrers(Store, Protocol):
    """A store that knows what speaks of an image: its provenance, its signatures."""

    def referrers(self, subject: Descriptor) -> list[Descriptor]:
        """Return the manifests that have this subject, each with its artifact type and annotations."""
        ...

    def refer(self, manifest: Descriptor, subject: Descriptor) -> None:
        """Let a manifest that is here, and has this subject, be found among its referrers."""
        ...


class WritableStore(Referrers, Ingests, Protocol):
    """A store that a builder can write images into."""


@runtime_checkable
class Mounts(Protocol):
    """A store that may have content elsewhere, and need not be sent it."""

    def mount(self, descriptor: Descriptor) -> bool:
        """Let content that is not here come from elsewhere in the same place; False where it has to be put."""
        ...


@runtime_checkable
class Names(Protocol):
    """A store that remembers which name means which descriptor."""

    def resolve(self, name: str) -> Descriptor:
        """Return what the name means; raises NotFoundError."""
        ...

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let the name mean this descriptor from now on."""
        ...

    def untag(self, name: str) -> None:
        """Forget the name; raises NotFoundError."""
        ...

    def names(self) -> dict[str, Descriptor]:
        """Every name and what it means."""
        ...
