"""A pin says exactly which file of a package is meant; it names no address, so mirrors change nothing."""

from __future__ import annotations

import msgspec

from tiffin.oci.digest import Digest


class WheelPin(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel of a Python package; `size` is in bytes."""

    name: str
    version: str
    filename: str
    sha256: Digest
    size: int


class DebPin(msgspec.Struct, frozen=True, kw_only=True):
    """A Debian package; `path` is relative to any mirror's root, `size` is in bytes."""

    name: str
    version: str
    architecture: str
    path: str
    sha256: Digest
    size: int
