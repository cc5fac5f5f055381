"""Pull, push, save, load and mirror are one function: copy a graph, leaves first, skipping what is there."""

from __future__ import annotations

from tiffin.errors import IntegrityError
from tiffin.oci.documents import DOCUMENTS, INDEXES, Descriptor, Index, Manifest, decode_foreign
from tiffin.oci.image import read_document
from tiffin.oci.store import Store
from tiffin.progress import parallel, step

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


def copy(source: Store, target: Store, descriptor: Descriptor, depth: int = DEEPEST) -> None:
    """Copy content and all it points to; what the target has is not moved.

    Raises IntegrityError for indexes within indexes within more of them than `depth`: listing one twice at each of
    thirty depths would make a thousand million visits.
    """
    if target.exists(descriptor):
        return
    if not depth:
        raise IntegrityError(f"{descriptor.digest} lies below {DEEPEST} documents", "copy one image of it alone")
    below = {child.digest: child for child in children(source, descriptor)}
    parallel(lambda child: copy(source, target, child, depth - 1), below.values())
    with step("copy", descriptor.digest.short, total=descriptor.size, unit="bytes"), source.open(descriptor) as stream:
        target.put(descriptor, stream)
