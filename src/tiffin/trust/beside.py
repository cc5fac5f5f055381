"""What lies beside an image in a store: bundles are found there, and signed statements put there."""

from __future__ import annotations

from tiffin.errors import IntegrityError, NotFoundError
from tiffin.oci.artifact import ATTACHED_LIMIT, attach, read_artifact
from tiffin.oci.documents import Descriptor
from tiffin.oci.image import read_document
from tiffin.oci.store import Referrers
from tiffin.trust.bundle import BUNDLE, BUNDLES, said_of, write_bundle
from tiffin.trust.decision import Found
from tiffin.trust.envelope import signed_bytes
from tiffin.trust.keys import PrivateKey
from tiffin.trust.statement import PAYLOAD_TYPE, read_statement

MOST = 256
"""Bundles of one image that are looked at, so that whoever may push cannot keep everybody busy."""


def bundles(store: Referrers, image: Descriptor) -> list[Found]:
    """Find the bundles beside an image; one that cannot be read is among them, with the reason."""
    listed = [found for found in store.referrers(image) if not found.artifact_type or found.artifact_type in BUNDLES]
    if len(listed) > MOST:
        raise IntegrityError(
            f"{image.digest} has {len(listed)} bundles beside it; at most {MOST} are looked at",
            "whoever may delete there deletes those that nobody knows",
        )
    return [_found(store, manifest) for manifest in listed]


def put_signed(store: Referrers, image: Descriptor, statement: bytes, key: PrivateKey) -> Descriptor:
    """Sign a statement, keep it beside the image as a bundle, and return its manifest."""
    bundle = write_bundle(statement, key.sign(signed_bytes(PAYLOAD_TYPE, statement)), key.public.id)
    said = said_of(read_statement(statement, "the statement").predicate_type)
    return attach(store, image, BUNDLE, bundle, said)


def _found(store: Referrers, manifest: Descriptor) -> Found:
    try:
        layers = read_artifact(store, manifest).layers
        if len(layers) != 1:
            return Found(manifest=manifest.digest, trouble=f"its manifest has {len(layers)} layers; a bundle has one")
        return Found(manifest=manifest.digest, data=read_document(store, layers[0], ATTACHED_LIMIT))
    except (IntegrityError, NotFoundError) as error:
        return Found(manifest=manifest.digest, trouble=error.message)
