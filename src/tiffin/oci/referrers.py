"""What speaks of an image goes where the image goes: its provenance, its bills of materials, its signatures.

Whoever lists referrers is not believed: a manifest is taken along when it says itself that it speaks of the image.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tiffin.errors import IntegrityError, NotFoundError, TiffinError
from tiffin.oci.artifact import ATTACHED_LIMIT
from tiffin.oci.copy import DEEPEST, children, copy
from tiffin.oci.digest import Digest
from tiffin.oci.documents import DOCUMENTS, INDEXES, Descriptor, Index, decode_foreign
from tiffin.oci.image import read_document
from tiffin.oci.store import Referrers, Store
from tiffin.progress import note

CHAIN = 3
"""How far we follow what speaks of what speaks of an image."""
TITLED_BY = ("dev.sigstore.bundle.predicateType", "in-toto.io/predicate-type")
"""Annotations by which clients say what an attached statement is about."""
TITLES = {
    "https://sigstore.dev/cosign/sign/v1": "signature",
    "https://slsa.dev/provenance/v1": "provenance",
    "https://cyclonedx.org/bom": "bill of materials",
    "https://spdx.dev/Document": "bill of materials",
}
"""What people call statements, by their predicate's type."""


class Speaks(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What any manifest or index may say of itself."""

    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


def subject_of(store: Store, found: Descriptor) -> Digest | None:
    """Return what a manifest speaks of; None for one that speaks of nothing."""
    said = _read(store, found)
    return said.subject.digest if said and said.subject else None


def damaged(error: TiffinError) -> bool:
    """Say whether an error means that what was to be copied is damaged or gone."""
    return isinstance(error, NotFoundError | IntegrityError)


def carry(
    source: Store,
    target: Store,
    content: Descriptor,
    *,
    verb: str = "copy",
    spared: Callable[[TiffinError], bool] = damaged,
    chain: int = CHAIN,
) -> list[Descriptor]:
    """Copy what speaks of an image, or of each image of an index, and return it; both have the image itself.

    One whose error is `spared`, as of one that is damaged, is left behind with a note: whoever requires a signature
    misses it then, and nobody else is hindered. So is one of more than ATTACHED_LIMIT bytes: whoever may push could
    otherwise attach more to an image than those who pull it have room for.
    """
    if not chain or not isinstance(source, Referrers) or not isinstance(target, Referrers):
        return []
    carried = []
    for subject in manifests(source, content):
        for found in spoken_of(source, subject):
            try:
                _refuse_large(source, found)
                copy(source, target, found, verb=verb, titles={found.digest: title(found)})
                target.refer(found, subject)
            except TiffinError as error:
                if not spared(error):
                    raise
                note(f"the {title(found)} of {subject.digest.short} is left behind: {error.message}")
                continue
            carried += [found, *carry(source, target, found, verb=verb, spared=spared, chain=chain - 1)]
    return carried


def spoken_of(store: Referrers, subject: Descriptor) -> list[Descriptor]:
    """List what speaks of an image, described by itself, in an order that does not depend on who lists it."""
    found = {one.digest: _described(store, one, subject) for one in store.referrers(subject)}
    return [one for _, one in sorted(found.items()) if one]


def beside(store: Store, image: Descriptor, chain: int = CHAIN) -> list[Descriptor]:
    """List what speaks of an image, and what speaks of that."""
    if not chain or not isinstance(store, Referrers):
        return []
    return [one for found in spoken_of(store, image) for one in (found, *beside(store, found, chain - 1))]


def title(found: Descriptor) -> str:
    """What people call something that is attached: by what it says, else by its type."""
    said = next((found.annotations[name] for name in TITLED_BY if name in found.annotations), "")
    shown = (said or found.artifact_type or "")[:80]
    kind = TITLES.get(said, shown if shown.isprintable() and shown else "attachment")
    signed = TITLED_BY[0] in found.annotations and kind != "signature"
    return f"signed {kind}" if signed else kind


def _refuse_large(store: Store, found: Descriptor) -> None:
    size = sum(below.size for below in children(store, found))
    if size > ATTACHED_LIMIT:
        raise IntegrityError(f"{found.digest} has {size} bytes; at most {ATTACHED_LIMIT} are taken along")


def _described(store: Store, found: Descriptor, subject: Descriptor) -> Descriptor | None:
    said = _read(store, found)
    if not said or not said.subject or said.subject.digest != subject.digest:
        return None
    return Descriptor(
        media_type=found.media_type,
        digest=found.digest,
        size=found.size,
        annotations=said.annotations,
        artifact_type=said.artifact_type or (said.config.media_type if said.config else None),
    )


def _read(store: Store, found: Descriptor) -> Speaks | None:
    if found.media_type not in DOCUMENTS:
        return None
    try:
        return decode_foreign(Speaks, read_document(store, found), str(found.digest))
    except (NotFoundError, IntegrityError):
        return None  # damaged, which is no harm to others


def manifests(store: Store, content: Descriptor, depth: int = DEEPEST) -> list[Descriptor]:
    """List what content is about, each once: an image alone; an index, and whatever it lists."""
    found = {content.digest: Descriptor(media_type=content.media_type, digest=content.digest, size=content.size)}
    if content.media_type in INDEXES and depth:
        index = decode_foreign(Index, read_document(store, content), str(content.digest))
        found |= {one.digest: one for below in index.manifests for one in manifests(store, below, depth - 1)}
    return list(found.values())
