"""What a resolution comes to: exactly which files, without where they lie; and what they have to run on."""

from __future__ import annotations

import re

import msgspec

from tiffin.errors import ConfigError
from tiffin.oci.digest import Digest
from tiffin.oci.platform import Platform

_PYTHON = re.compile(r"3\.(\d{1,2})(\.\d{1,2})?")


class WheelPin(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One wheel of a lock: which bytes they are, never where they come from; `size` is in bytes."""

    name: str
    version: str
    filename: str
    sha256: Digest
    size: int | None = None

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


class DebPin(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One Debian package of a lock; `path` is its place below any mirror's root and `size` is in bytes."""

    name: str
    version: str
    architecture: str
    path: str
    sha256: Digest
    size: int


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """What the wheels of an image have to run on: a CPython, a platform and the base's C library."""

    python: str
    platform: Platform
    glibc: tuple[int, int]

    def __post_init__(self) -> None:
        if not _PYTHON.fullmatch(self.python):
            raise ConfigError(f"not a Python version: {self.python!r}", "write it as `3.11` or `3.11.2`")

    @property
    def minor(self) -> int:
        """The N of Python 3.N."""
        return int(self.python.split(".")[1])

    def __str__(self) -> str:
        return f"Python {self.python} on {self.platform} with glibc {self.glibc[0]}.{self.glibc[1]}"
