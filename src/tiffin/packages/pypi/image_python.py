"""What the wheels of an image have to run on."""

from __future__ import annotations

import re

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from tiffin.errors import ConfigError
from tiffin.oci.platform import Platform

_PYTHON = re.compile(r"3\.(\d{1,2})(\.\d{1,2})?")

_RELEASES = 60
"""More releases than a Python 3.N ever gets."""


class ImagePython(msgspec.Struct, frozen=True, kw_only=True):
    """A CPython, a platform and the version of the base's C library."""

    version: str
    platform: Platform
    glibc: tuple[int, int]

    def __post_init__(self) -> None:
        if not _PYTHON.fullmatch(self.version):
            raise ConfigError(f"not a Python version: {self.version!r}", "write it as `3.11` or `3.11.2`")

    @property
    def minor(self) -> int:
        """The N of Python 3.N."""
        return int(self.version.split(".")[1])

    def __str__(self) -> str:
        return f"Python {self.version} on {self.platform} with glibc {self.glibc[0]}.{self.glibc[1]}"


def suits(python: str, specifier: str) -> bool:
    """Whether some release of a Python is one of those that a specifier means (PEP 440); raises ConfigError."""
    try:
        wanted = SpecifierSet(specifier)
    except InvalidSpecifier as error:
        raise ConfigError(f"not versions of Python: {specifier!r}", "write them as `>=3.11`") from error
    releases = [python] if python.count(".") > 1 else [f"{python}.{n}" for n in range(_RELEASES)]
    return any(wanted.contains(release) for release in releases)
