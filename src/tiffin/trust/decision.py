"""Is this image signed by one of these keys? A pure function of what was found beside it.

A bundle is judged in the order in which its parts can be believed: its form, its signature, then what it says. Only a
statement of the type SIGNATURE about the image's own digest approves of it; others that a key has signed are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tiffin.errors import IntegrityError
from tiffin.oci.digest import Digest
from tiffin.oci.referrers import TITLES
from tiffin.trust.bundle import Opened, open_bundle
from tiffin.trust.envelope import signed_bytes
from tiffin.trust.statement import PAYLOAD_TYPE, SIGNATURE, STATEMENT_TYPE, read_statement


class Key(Protocol):
    """What verifies signatures."""

    id: str

    def signed(self, data: bytes, signature: bytes) -> bool:
        """Say whether the signature is by this key and over these bytes."""
        ...


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle as it lay beside the image: its manifest, and its bytes, or why they could not be read."""

    manifest: Digest
    data: bytes = b""
    trouble: str = ""


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """A statement about the image that one of the keys has signed."""

    what: str
    predicate_type: str
    key: str
    referrer: Digest
    statement: msgspec.Raw


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that counts for nothing, and why."""

    referrer: Digest
    why: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What of that which lay beside an image is to be believed."""

    digest: Digest
    attestations: list[Attestation]
    refused: list[Refused]

    @property
    def signed(self) -> bool:
        """Whether one of the keys approves of the image."""
        return any(found.predicate_type == SIGNATURE for found in self.attestations)


def judge(digest: Digest, found: Sequence[Found], keys: Sequence[Key]) -> Verdict:
    """Say what is to be believed of an image; the order in which bundles were found changes nothing."""
    attestations, refused = [], []
    for bundle in sorted(found, key=lambda bundle: bundle.manifest):
        try:
            attestations.append(_believed(digest, bundle, keys))
        except IntegrityError as error:
            refused.append(Refused(referrer=bundle.manifest, why=error.message))
    attestations.sort(key=lambda one: (one.predicate_type != SIGNATURE, one.what, one.referrer))
    return Verdict(digest=digest, attestations=attestations, refused=refused)


def _believed(digest: Digest, found: Found, keys: Sequence[Key]) -> Attestation:
    """Return what a bundle says; raises IntegrityError with the first reason not to believe it."""
    if found.trouble:
        raise IntegrityError(found.trouble)
    opened = open_bundle(found.data, "it")
    key = _signer(opened, keys)
    statement = read_statement(opened.payload, "its statement")
    if statement.type != STATEMENT_TYPE:
        raise IntegrityError(f"its statement is of another type: {statement.type[:80]!r}")
    if not statement.speaks_of(digest):
        others = [f"{kind}:{value}"[:80] for one in statement.subject for kind, value in one.digest.items()]
        raise IntegrityError(f"it speaks of another image: {', '.join(others[:3]) or 'of none'}")
    return Attestation(
        what=TITLES.get(statement.predicate_type, "statement"),
        predicate_type=statement.predicate_type,
        key=key.id,
        referrer=found.manifest,
        statement=msgspec.Raw(opened.payload),
    )


def _signer(opened: Opened, keys: Sequence[Key]) -> Key:
    """Find the key that signed; the hint in a bundle proves nothing, and only chooses the words of a refusal."""
    data = signed_bytes(PAYLOAD_TYPE, opened.payload)
    for key in keys:
        if key.signed(data, opened.signature):
            return key
    if opened.hint in {key.id for key in keys}:
        raise IntegrityError("its signature does not fit what it signs: one of them was changed")
    hint = opened.hint[:80] if opened.hint.isprintable() else ""  # anybody may have written it
    raise IntegrityError(f"it is signed with another key: {hint or 'one without an ID'}")
