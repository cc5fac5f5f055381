"""The order of Debian's version numbers (Debian Policy 5.6.12, deb-version(7))."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

Key: TypeAlias = tuple[int, "_Part", "_Part"]
_Part: TypeAlias = tuple[tuple[tuple[int, ...], int], ...]

_PIECE = re.compile(r"([^0-9]*)([0-9]*)", re.ASCII)
_END = 0
_BEFORE_END = -1


@lru_cache(maxsize=8192)
def version_key(version: str) -> Key:
    """Return what sorts as the version does: epoch, upstream version, Debian revision."""
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdigit():
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch), _part(upstream), _part(revision)


def _part(text: str) -> _Part:
    """Split into non-digits and digits by turns; a missing number counts as 0, and an empty piece ends the part."""
    pieces = _PIECE.findall(text or "0")
    return tuple(((*map(_weight, letters), _END), int(digits or 0)) for letters, digits in pieces)


def _weight(character: str) -> int:
    """A tilde sorts before the end, letters after it, everything else after the letters."""
    if character == "~":
        return _BEFORE_END
    return ord(character) if character.isalpha() else ord(character) + 256
