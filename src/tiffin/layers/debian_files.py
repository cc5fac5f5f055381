"""Which files of Debian's packages an image does without: reviewed rules, with reasons (`debian_files.toml`)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from fnmatch import translate
from functools import cache
from importlib import resources

import msgspec

from tiffin.layers.entry import Entry, Kind


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Patterns of paths that are left out, those among them that stay, and why."""

    paths: tuple[str, ...]
    reason: str
    keep: tuple[str, ...] = ()
    always: bool = False


class FileRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What `debian_files.toml` says."""

    left_out: tuple[LeftOut, ...]


@cache
def file_rules() -> tuple[LeftOut, ...]:
    """Read the rules that are shipped with tiffin."""
    text = resources.files("tiffin.layers").joinpath("debian_files.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), FileRules).left_out


def leave_out(entries: Iterable[Entry], rules: Iterable[LeftOut], *, slim: bool = True) -> list[Entry]:
    """Keep what no rule leaves out; without `slim` only the rules that always hold are followed.

    A link in /usr/share/doc from one package to another's folder stays: it leads to the licence.
    """
    judges = [(_pattern(rule.paths), _pattern(rule.keep)) for rule in rules if slim or rule.always]
    return [
        entry
        for entry in entries
        if _leads_to_licence(entry)
        or not any(out.match(entry.path) and not keep.match(entry.path) for out, keep in judges)
    ]


def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, globs)) or "(?!)")


def _leads_to_licence(entry: Entry) -> bool:
    return entry.kind is Kind.SYMLINK and entry.path.startswith("usr/share/doc/") and entry.path.count("/") == 3  # noqa: PLR2004 - usr/share/doc/PACKAGE
