"""Which Debian packages an image begins with and which dependencies are not followed: reviewed data, with reasons."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Any

import msgspec


class Root(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A package that is asked for, and why."""

    name: str
    reason: str


class NotFollowed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dependency that is not followed, and why; `of` are patterns of the names of the packages that declare it."""

    name: str
    reason: str
    of: tuple[str, ...] = ("*",)


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What `selection.toml` says."""

    base: tuple[Root, ...]
    interpreter: tuple[Root, ...]
    not_followed: tuple[NotFollowed, ...]

    def base_roots(self) -> tuple[str, ...]:
        """Names of the packages the base layer begins with."""
        return tuple(root.name for root in self.base)

    def interpreter_roots(self, python: str) -> tuple[str, ...]:
        """Names of the packages the interpreter layer begins with, for a Python version such as 3.11."""
        return tuple(root.name.format(python=python) for root in self.interpreter)

    def follows(self, package: str, dependency: str) -> bool:
        """Say whether `package` brings `dependency` with it."""
        return not any(
            rule.name == dependency and any(fnmatchcase(package, pattern) for pattern in rule.of)
            for rule in self.not_followed
        )


@cache
def selection() -> Selection:
    """Read the selection that is shipped with tiffin."""
    text = resources.files("tiffin.packages.debian").joinpath("selection.toml").read_text("utf-8")
    document: dict[str, Any] = tomllib.loads(text)
    return msgspec.convert(document, Selection)
