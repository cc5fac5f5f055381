"""A pin says exactly which file of a package is meant; it names no address, so mirrors change nothing."""

from __future__ import annotations

import msgspec

from tiffin.oci.digest import Digest


class WheelPin(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A wheel of a Python package; `size` is in bytes."""

    name: str
    version: str
    filename: str
    sha256: Digest
    size: int

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a wheel that no index has came from, and what it was built with.

    `source` is the digest of the sdist, folder or wheel; `path` is where that lies, relative to the lock, and empty for
    an sdist of an index, which `sdist` names. `needs` are the wheel's own requirements.
    """

    source: Digest
    path: str = ""
    sdist: str = ""
    needs: tuple[str, ...] = ()
    requires: tuple[WheelPin, ...] = ()


class DebPin(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A Debian package; `path` is relative to any mirror's root, `size` is in bytes."""

    name: str
    version: str
    architecture: str
    path: str
    sha256: Digest
    size: int

    def __str__(self) -> str:
        return f"{self.name}={self.version}"
