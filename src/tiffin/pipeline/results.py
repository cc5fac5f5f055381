"""What steps gave: found by key, kept whole or not at all, and the same wherever it is asked for."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from tiffin.oci.digest import Digest
from tiffin.pipeline.workbench import Ended, Input, Order


class Artifact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file or folder that a step gave: its content's digest, bytes, type, and the name that it has where it is read.

    What a `folder` holds is kept as one deterministic tar.
    """

    digest: Digest
    size: int
    type: str
    name: str
    folder: bool = False
    metadata: dict[str, Any] = {}


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one task gave: values and artifacts by name, which attempt it was, and what that took in seconds."""

    key: Digest
    values: dict[str, Any] = {}
    artifacts: dict[str, Artifact] = {}
    attempt: int = 1
    seconds: float = 0.0
    made: str = ""


class Results(Protocol):
    """Results by key."""

    def find(self, key: Digest) -> Result | None:
        """The result of a key; None where there is none, or not all of it is there any more."""
        ...

    def key_of(self, key: Digest) -> bytes | None:
        """The document that a key is the digest of, where it is remembered: `why` compares two."""
        ...

    def keep(self, document: bytes, order: Order, ended: Ended, seconds: float) -> Result:
        """Keep what an order has left in its folder, under the digest of a key's document.

        Raises CommandError for an output that is missing, or is not of its port's type.
        """
        ...

    def take(self, artifact: Artifact) -> Input:
        """Have an artifact lie on this machine, so that it can be mounted."""
        ...
