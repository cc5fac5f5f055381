"""A digest, parsed once: `sha256:` and 64 hex digits (image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO, Self

from tiffin.errors import ConfigError

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
CHUNK = 1 << 20
"""Bytes moved at a time wherever content is streamed."""


class Digest(str):
    """Which bytes: an algorithm and the hex digits it gives for them; compares, hashes and prints as its text."""

    __slots__ = ()

    def __new__(cls, algorithm: str, hex_: str) -> Self:
        """Make a digest of parts known to be right; text from outside goes through `parse`."""
        return super().__new__(cls, f"{algorithm}:{hex_}")

    def __getnewargs__(self) -> tuple[str, str]:
        return self.algorithm, self.hex

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

    @property
    def algorithm(self) -> str:
        """The algorithm's name, `sha256`."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hex digits alone."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first 12 hex digits, for people."""
        return self.hex[:12]
