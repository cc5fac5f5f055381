"""Keys: ECDSA on P-256 with SHA-256, in the PEM that openssl writes (SPKI; PKCS#8, plain or with a passphrase).

The same key and the same bytes give the same signature (RFC 6979), so that signing twice is the same as once.
Whoever imports this imports `cryptography`; the verbs do when they need a key.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from tiffin.errors import ConfigError, DeniedError, UnsupportedError

_MAKE = "`tiffin sign --generate-key NAME` makes NAME.key and NAME.pub"
_COSIGN = b"ENCRYPTED SIGSTORE PRIVATE KEY", b"ENCRYPTED COSIGN PRIVATE KEY"


class PublicKey:
    """Verifies; `id` is base64 of the sha256 of the key's DER, as Sigstore's bundles hint at keys."""

    def __init__(self, key: EllipticCurvePublicKey, called: str) -> None:
        """Wrap a key of `cryptography`; errors and people call it by the file it came from."""
        self.called = called
        self._key = key
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.id = base64.b64encode(hashlib.sha256(der).digest()).decode()

    def signed(self, data: bytes, signature: bytes) -> bool:
        """Say whether the signature is by this key and over these bytes."""
        try:
            self._key.verify(signature, data, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def pem(self) -> bytes:
        """Write the key as openssl does."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class PrivateKey:
    """Signs."""

    def __init__(self, key: EllipticCurvePrivateKey, called: str) -> None:
        """Wrap a key of `cryptography`."""
        self._key = key
        self.public = PublicKey(key.public_key(), called)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of these bytes, in DER; the same each time."""
        return self._key.sign(data, ECDSA(SHA256(), deterministic_signing=True))

    def pem(self, passphrase: bytes) -> bytes:
        """Write the key as openssl does: encrypted, unless the passphrase is empty."""
        hidden = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """The two files of a new key."""

    private: bytes
    public: bytes
    id: str


def generate(passphrase: bytes) -> Pair:
    """Make a key."""
    key = PrivateKey(generate_private_key(SECP256R1()), "")
    return Pair(private=key.pem(passphrase), public=key.public.pem(), id=key.public.id)


def read_public(data: bytes, where: str) -> PublicKey:
    """Read a public key; raises ConfigError for what is none, UnsupportedError for one of another kind."""
    if b"PRIVATE KEY" in data:
        raise ConfigError(f"{where} is a private key", "keep it to yourself and name the public one, NAME.pub")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{where} is no public key in PEM", _MAKE) from error
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise _other_kind(where)
    return PublicKey(key, where)


def read_private(data: bytes, where: str, passphrase: Callable[[], bytes]) -> PrivateKey:
    """Read a private key; the passphrase is asked for where it has one, and DeniedError raised where it is wrong."""
    if any(mark in data for mark in _COSIGN):
        raise UnsupportedError(f"{where} is encrypted in a way of cosign's own", f"use a PKCS#8 key: {_MAKE}")
    encrypted = b"ENCRYPTED" in data
    try:
        key = load_pem_private_key(data, passphrase() if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted:
            raise DeniedError(f"the passphrase of {where} is wrong, or the file damaged", "try again") from error
        raise ConfigError(f"{where} is no private key in PEM", _MAKE) from error
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise _other_kind(where)
    return PrivateKey(key, where)


def _other_kind(where: str) -> UnsupportedError:
    return UnsupportedError(f"{where} is no ECDSA key on the curve P-256", _MAKE)
