"""What is wrong with a pipeline, and at which line somebody wrote it."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterable, NamedTuple

_OURS = Path(__file__).resolve().parent


class Place(NamedTuple):
    """A line of a file, which is named in full until a document is written."""

    file: str
    line: int

    def document(self, root: str) -> Dict[str, Any]:
        """As the tool reads it: the file as seen from the folder of the code."""
        return {"file": _seen_from(root, self.file), "line": self.line}


@lru_cache(maxsize=None)  # a file has many lines
def _seen_from(root: str, file: str) -> str:
    whole = Path(file).resolve()
    for folder in (Path(root).resolve(), _OURS.parent):
        if folder in whole.parents:
            return whole.relative_to(folder).as_posix()
    return file


class PipelineError(Exception):
    """What was written cannot be a pipeline: what is wrong, where, and what to write instead."""

    def __init__(self, message: str, hint: str = "", place: "Place | None" = None) -> None:
        """Take the line that called us as the place, unless one is given."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place or caller()

    def __str__(self) -> str:
        where = "%s:%d: %s" % (Path(self.place.file).name, self.place.line, self.message)
        return "%s\nhint: %s" % (where, self.hint) if self.hint else where

    def document(self, root: str) -> Dict[str, Any]:
        """As the tool reads it."""
        return {"message": self.message, "hint": self.hint, "place": self.place.document(root)}


@lru_cache(maxsize=None)
def is_ours(file: str) -> bool:
    """Say whether a file is one of this package."""
    return _OURS in Path(file).parents or _OURS in Path(file).resolve().parents


def caller() -> Place:
    """The nearest line that is not of this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - `inspect` reads the same, and the source files with it
    while frame.f_back is not None and is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def a(name: str) -> str:
    """A type's name with its article: `an int`."""
    return "%s %s" % ("an" if name[0] in "aeiouAEIOU" else "a", name)


def known(names: Iterable[str]) -> str:
    """Names as a message lists them."""
    return ", ".join("`%s`" % name for name in names) or "none"


def meant(name: str, names: Iterable[str]) -> str:
    """`did you mean …?`, where one of the names is near, else the list of all."""
    from difflib import get_close_matches

    names = list(names)
    near = get_close_matches(name, names, 1)
    return "did you mean `%s`?" % near[0] if near else "there are: %s" % known(names)
