"""Pull, push, save, load and mirror are one function: copy a graph, leaves first, skipping what is there."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import BinaryIO, cast

from tiffin.errors import IntegrityError
from tiffin.oci.digest import CHUNK, Digest
from tiffin.oci.documents import DOCUMENTS, INDEXES, Descriptor, Index, Manifest, decode_foreign
from tiffin.oci.image import read_document
from tiffin.oci.store import Mounts, Store
from tiffin.progress import parallel, step

AT_ONCE = 4
"""Blobs of an image on their way at a time."""
DEEPEST = 5
"""Documents above a layer: an index, one within it, a manifest, and one to spare."""


def children(store: Store, descriptor: Descriptor) -> list[Descriptor]:
    """What a descriptor points to, in order; a blob points to nothing."""
    if descriptor.media_type not in DOCUMENTS:
        return []
    data, where = read_document(store, descriptor), str(descriptor.digest)
    if descriptor.media_type in INDEXES:
        return decode_foreign(Index, data, where).manifests
    manifest = decode_foreign(Manifest, data, where)
    return [manifest.config, *manifest.layers]


def copy(
    source: Store,
    target: Store,
    descriptor: Descriptor,
    depth: int = DEEPEST,
    *,
    verb: str = "copy",
    titles: Mapping[Digest, str] = {},
) -> None:
    """Copy content and all it points to; what the target has, or can have without it, is not moved.

    `verb` is what people are told that happens to each part, and `titles` what they call it. Raises IntegrityError for
    indexes within indexes within more of them than `depth`: listing one twice at each of thirty depths would make a
    thousand million visits.
    """
    if target.exists(descriptor) or (isinstance(target, Mounts) and target.mount(descriptor)):
        return
    if not depth:
        raise IntegrityError(f"{descriptor.digest} lies below {DEEPEST} documents", "copy one image of it alone")
    # one that is there twice is sent once; the images of an index come one after another, and their blobs in parallel
    below = {child.digest: child for child in children(source, descriptor)}
    at_once = 1 if descriptor.media_type in INDEXES else AT_ONCE
    parallel(
        lambda child: copy(source, target, child, depth - 1, verb=verb, titles=titles), below.values(), workers=at_once
    )
    title = titles.get(descriptor.digest, descriptor.digest.short)
    with step(verb, title, total=descriptor.size, unit="bytes") as running, source.open(descriptor) as stream:
        target.put(descriptor, cast("BinaryIO", _Watched(stream, running.advance)))


class _Watched:
    """A stream that tells how far it was read, and how far it was taken back."""

    def __init__(self, stream: BinaryIO, advance: Callable[[int], object]) -> None:
        self._stream = stream
        self._advance = advance
        self._position = self._told = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._position += len(data)
        if self._position - self._told >= CHUNK or not data:
            self._tell()
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = self._stream.seek(offset, whence)
        self._tell()
        return self._position

    def _tell(self) -> None:
        self._advance(self._position - self._told)
        self._told = self._position
