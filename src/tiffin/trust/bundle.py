"""A Sigstore bundle: a signed envelope and what it takes to verify it, in one JSON document. Pure.

sigstore/protobuf-specs, sigstore_bundle.proto, version 0.3. Of the two ways to name who signed, a certificate and a
key, the key is written and read; there is then no transparency log and no timestamp to look at.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin.errors import IntegrityError
from tiffin.oci.documents import decode_foreign, encode
from tiffin.trust.envelope import Envelope, Signed
from tiffin.trust.statement import PAYLOAD_TYPE

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLES = frozenset(
    {
        BUNDLE,
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
    }
)
"""What is read: for a signature with a key they are all alike."""
CONTENT = "dev.sigstore.bundle.content"
PREDICATE = "dev.sigstore.bundle.predicateType"


class KeyHint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which key is meant, in words that signer and verifier agree on."""

    hint: str = ""


class Material(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What it takes to verify; anything but a key is not looked at, and written where readers insist on it."""

    public_key: KeyHint | None = None
    tlog_entries: list[Any] = []


class Bundle(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A signed envelope with what it takes to verify it."""

    media_type: str
    verification_material: Material
    dsse_envelope: Envelope | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle with a form that can be judged: what it holds, which nobody has verified yet."""

    payload: bytes
    signature: bytes
    hint: str


def write_bundle(payload: bytes, signature: bytes, key_id: str) -> bytes:
    """Write a bundle over an in-toto statement, signed with the key of this ID."""
    envelope = Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signatures=[Signed(sig=signature)])
    material = Material(public_key=KeyHint(hint=key_id))
    return encode(Bundle(media_type=BUNDLE, verification_material=material, dsse_envelope=envelope))


def said_of(predicate_type: str) -> dict[str, str]:
    """What the manifest of a bundle says of it, so that it can be told from others (cosign, BUNDLE_SPEC.md)."""
    return {CONTENT: "dsse-envelope", PREDICATE: predicate_type}


def open_bundle(data: bytes, where: str) -> Opened:
    """Read a bundle; raises IntegrityError, with the reason, for one that no key can have signed."""
    bundle = decode_foreign(Bundle, data, where)
    if bundle.media_type not in BUNDLES:
        raise IntegrityError(f"{where} is no Sigstore bundle but {bundle.media_type[:80]!r}")
    envelope = bundle.dsse_envelope
    if envelope is None:
        raise IntegrityError(f"{where} holds no envelope: what it signs is not said in it")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise IntegrityError(f"{where} signs no statement but {envelope.payload_type[:80]!r}")
    if len(envelope.signatures) != 1:
        raise IntegrityError(f"{where} has {len(envelope.signatures)} signatures in one envelope; a bundle has one")
    if bundle.verification_material.public_key is None:
        raise IntegrityError(f"{where} is signed by a certificate, not by a key")
    return Opened(
        payload=envelope.payload,
        signature=envelope.signatures[0].sig,
        hint=bundle.verification_material.public_key.hint,
    )
