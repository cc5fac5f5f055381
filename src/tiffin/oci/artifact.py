"""What speaks of an image without being in it: a manifest with a `subject` (image-spec, manifest.md, "Artifacts").

The image's digest does not depend on it, so it may say that digest; whoever has the image's descriptor finds it by
asking the store for referrers (distribution-spec, "Listing Referrers").
"""

from __future__ import annotations

import io

from tiffin.oci.digest import Digest
from tiffin.oci.documents import EMPTY, MANIFEST, NOTHING, Artifact, Descriptor, decode_foreign, encode
from tiffin.oci.image import read_document
from tiffin.oci.store import Referrers, Store

ATTACHED_LIMIT = 256 << 20
"""Bytes of the largest attached document that is read: a statement has a line for every file of the user's."""


def attach(store: Referrers, subject: Descriptor, kind: str, data: bytes, annotations: dict[str, str]) -> Descriptor:
    """Keep a document of the media type `kind` about an image, in the store that has the image; return its manifest."""
    document = Descriptor.of(data, kind)
    bare = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
    manifest = Artifact(artifact_type=kind, layers=[document], subject=bare, annotations=annotations)
    manifest_bytes = encode(manifest)
    described = Descriptor(
        media_type=MANIFEST,
        digest=Digest.of(manifest_bytes),
        size=len(manifest_bytes),
        annotations=annotations,
        artifact_type=kind,
    )
    for descriptor, content in ((EMPTY, NOTHING), (document, data), (described, manifest_bytes)):
        store.put(descriptor, io.BytesIO(content))
    store.refer(described, bare)
    return described


def attached(store: Referrers, subject: Descriptor, kind: str, annotations: dict[str, str]) -> list[bytes]:
    """Return the documents of one media type about an image whose manifests have these annotations."""
    return [
        read_document(store, read_artifact(store, found).layers[0], ATTACHED_LIMIT)
        for found in store.referrers(subject)
        if found.artifact_type == kind and annotations.items() <= found.annotations.items()
    ]


def read_artifact(store: Store, descriptor: Descriptor) -> Artifact:
    """Read a manifest that has a subject; raises IntegrityError for any other document."""
    return decode_foreign(Artifact, read_document(store, descriptor), str(descriptor.digest))
