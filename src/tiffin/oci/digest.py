"""A digest, parsed once: `sha256:` and 64 hex digits (image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO

import msgspec

from tiffin.errors import ConfigError

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
CHUNK = 1 << 20
"""Bytes moved at a time wherever content is streamed."""


class Digest(msgspec.Struct, frozen=True, order=True):
    """Which bytes: an algorithm and the hex digits it gives for them."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:<64 hex>`; raises ConfigError for anything else."""
        if not _SHA256.fullmatch(text):
            raise ConfigError(f"not a digest: {text[:100]!r}", "a digest is `sha256:` and 64 lower-case hex digits")
        return cls(*text.split(":"))

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the sha256 digest of these bytes."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    @classmethod
    def of_stream(cls, stream: BinaryIO) -> Digest:
        """Return the sha256 digest of what is left in the stream."""
        hashed = hashlib.sha256()
        while data := stream.read(CHUNK):
            hashed.update(data)
        return cls("sha256", hashed.hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 hex digits, for people."""
        return self.hex[:12]
