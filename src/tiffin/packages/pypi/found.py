"""A wheel that was found: which one it is, and where it lies."""

from __future__ import annotations

import msgspec

from tiffin.oci.digest import Digest
from tiffin.packages.pins import WheelPin


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel and where an index says that it is; few indexes say its size in bytes."""

    name: str
    version: str
    filename: str
    sha256: Digest
    size: int | None
    url: str

    def pin(self, size: int) -> WheelPin:
        """Return the pin of this wheel, which has `size` bytes."""
        return WheelPin(name=self.name, version=self.version, filename=self.filename, sha256=self.sha256, size=size)
