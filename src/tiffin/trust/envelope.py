"""DSSE: what is signed is the payload and its type, with their lengths (secure-systems-lab/dsse, protocol.md). Pure."""

from __future__ import annotations

import msgspec


class Signed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One signature; JSON has its bytes in base64. `keyid` is what the signer calls the key, and proves nothing."""

    sig: bytes
    keyid: str = ""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A payload of some type, and signatures of both; JSON has the payload in base64."""

    payload: bytes
    payload_type: str
    signatures: list[Signed]


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """Return what a signature is made of: the pre-authentication encoding, PAE.

    >>> signed_bytes("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b" ".join((b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload))
