"""What an image wants of Debian, and the exact packages that this comes to: what the lock keeps."""

from __future__ import annotations

import msgspec

from tiffin.packages.pins import DebPin

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
"""The one version of Python that each suite has."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: a suite, the version of its Python, an architecture in Debian's words, further packages.

    Without a version there is no Python: it comes from somewhere else.
    """

    suite: str
    python: str
    architecture: str = "amd64"
    packages: tuple[str, ...] = ()


class BasePins(msgspec.Struct, frozen=True, kw_only=True):
    """The packages of an image in three disjoint sets, each sorted by name.

    `base` and `interpreter` depend on suite, Python and architecture alone, so their layers are shared by all projects;
    `packages` is what the project's own packages add to them.
    """

    suite: str
    python: str
    architecture: str
    base: tuple[DebPin, ...]
    interpreter: tuple[DebPin, ...]
    packages: tuple[DebPin, ...] = ()
