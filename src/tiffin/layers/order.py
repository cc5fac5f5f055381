"""Which entries a layer has, and in which order: checked, sorted, each below its parents."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tiffin.errors import IntegrityError
from tiffin.layers.entry import Entry, Kind

_GOOD_PATH = re.compile(r"(?:(?!\.wh\.|\.\.?(?:/|\Z))[^/\0]{1,255}(?:/(?!\Z)|\Z))+")
"""Relative, no empty, `.` or `..` parts, and none that means a whiteout (image-spec, layer.md, "Whiteouts")."""


def arrange(entries: Iterable[Entry]) -> list[Entry]:
    """Put entries in the order of their paths' bytes, with every parent directory before its content.

    A parent that is not given is a directory of mode 0755. Raises IntegrityError for a path that is no path inside a
    layer, is given twice, or lies below something that is no directory.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        if not _GOOD_PATH.fullmatch(entry.path) or not _encodable(entry.path + entry.link):
            raise IntegrityError(f"{entry.path!r} cannot be a path of a layer")
        if entry.path in found:
            raise IntegrityError(f"{entry.path} is there twice in one layer")
        found[entry.path] = entry
    for path in list(found):
        _add_parents(found, path)
    return [found[path] for path in sorted(found, key=str.encode)]


def _add_parents(found: dict[str, Entry], path: str) -> None:
    parent = path.rpartition("/")[0]
    while parent:
        there = found.get(parent)
        if there is None:
            found[parent] = Entry.directory(parent)
        elif there.kind is Kind.DIRECTORY:
            return
        else:
            raise IntegrityError(f"{parent} is a {there.kind.value}, so {path} cannot lie below it")
        parent = parent.rpartition("/")[0]


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
