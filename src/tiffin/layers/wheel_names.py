"""Where a wheel's members go in an image, decided by their names alone.

Binary distribution format, https://packaging.python.org/en/latest/specifications/binary-distribution-format/.
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from tiffin.errors import ConfigError, IntegrityError

PREFIX = "opt/venv"
BIN = f"{PREFIX}/bin"
SITE = f"{PREFIX}/lib/site-packages"
"""Where every wheel's modules are: a path without the interpreter's version, so that a layer serves all of them."""
ARCHIVED_PYTHON = "opt/python"
"""Where an interpreter from an archive lies."""
PYTHON = f"/{BIN}/python"
"""The interpreter that scripts name in their first line."""

_LONGEST_PART, _LONGEST_NAME = 255, 1024
_ODD = re.compile(r"[\x00-\x1f\x7f\\]|//|^/|^$|(?:^|/)(?:\.\.?|\.wh\.[^/]*)(?:/|$)")
_VERSIONED_SITE = re.compile(r"^lib(?:64)?/python3(?:\.\d+)?/(?:site|dist)-packages/")
_RESERVED = re.compile(r"bin|bin/python[\d.]*|pyvenv\.cfg|lib|lib/(?:python3\.\d+/)?site-packages|lib/python3\.\d+")
"""Paths of the environment itself (docs/reference/image.md), which no wheel may replace."""
_WHEEL_NAME = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl")
_PIECE = re.compile(r"\d+|[a-z]+")
_SPELLINGS = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc", "rev": "post", "r": "post"}


class Rule(Enum):
    """What is done to a member on its way into the image."""

    KEEP = "keep"
    SCRIPT = "script"


class Place(msgspec.Struct, frozen=True):
    """Where a member goes, and what is done to it on the way."""

    path: str
    rule: Rule = Rule.KEEP


def is_bytecode(path: str) -> bool:
    """Say whether a path is that of cached bytecode, which layers of its own hold: no wheel's has the times of ours."""
    return path.endswith(".pyc") and path.rpartition("/")[0].rpartition("/")[2] == "__pycache__"


def parse_wheel_name(file_name: str) -> tuple[str, str]:
    """Read name and version out of a wheel's file name; raises ConfigError."""
    match = _WHEEL_NAME.fullmatch(file_name)
    if not match:
        raise ConfigError(f"not the name of a wheel: {file_name!r}", "a wheel is NAME-VERSION-PYTHON-ABI-PLATFORM.whl")
    return match["name"], match["version"]


def normal_name(name: str) -> str:
    """Write a distribution's name the one way that all its spellings share (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def same_version(one: str, other: str) -> bool:
    """Say whether two spellings mean one version, such as 1.0-RC1 and 1.rc1 (PEP 440, "Normalization")."""
    return _version_key(one) == _version_key(other)


def _version_key(version: str) -> tuple[list[str], list[str]]:
    public, _, local = version.lower().removeprefix("v").replace("_", "-").partition("+")
    pieces = [_SPELLINGS.get(piece, piece.lstrip("0") or "0") for piece in _PIECE.findall(public)]
    release = next((at for at, piece in enumerate(pieces) if piece.isalpha()), len(pieces))
    while release > 1 and pieces[release - 1] == "0":
        release -= 1
        del pieces[release]
    return pieces, _PIECE.findall(local)


def check_name(name: str) -> None:
    """Refuse a member's name that programs could read differently or that leaves its folder; raises IntegrityError."""
    bare = name.removesuffix("/")
    long = len(name) > _LONGEST_PART // 4 and any(len(part.encode()) > _LONGEST_PART for part in bare.split("/"))
    if long or len(name) > _LONGEST_NAME or _ODD.search(bare):
        raise IntegrityError(f"{name[:300]!r} is no name for a file of a wheel")


def place(name: str, data_folder: str, distribution: str) -> Place:
    """Decide where a member goes; raises IntegrityError where it may not go anywhere.

    `data_folder` is the wheel's `NAME-VERSION.data`; `distribution` its name, for its headers.
    """
    folder, _, rest = name.partition("/")
    if folder != data_folder or not rest:
        return Place(f"{SITE}/{name}")
    key, _, rest = rest.partition("/")
    if not rest:
        raise IntegrityError(f"{name} belongs to no scheme")
    if key in ("purelib", "platlib"):
        return Place(f"{SITE}/{rest}")
    if key == "scripts":
        return _unreserved(f"bin/{rest}", name, Rule.SCRIPT)
    if key == "headers":
        return Place(f"{PREFIX}/include/site/python/{distribution}/{rest}")
    if key == "data":
        return _unreserved(_VERSIONED_SITE.sub("lib/site-packages/", rest), name)
    raise IntegrityError(f"{name} belongs to the unknown scheme {key!r}")


def script_path(name: str) -> str:
    """Decide where the script of an entry point goes; raises IntegrityError where it may not go anywhere."""
    return _unreserved(f"bin/{name}", f"the entry point {name}").path


def _unreserved(inside: str, name: str, rule: Rule = Rule.KEEP) -> Place:
    if _RESERVED.fullmatch(inside):
        raise IntegrityError(f"{name} would replace /{PREFIX}/{inside}, which belongs to the environment")
    return Place(f"{PREFIX}/{inside}", rule)
