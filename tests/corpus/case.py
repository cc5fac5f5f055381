"""One hostile file: how it is made, who reads it, and what it must be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Made = bytes | Mapping[str, bytes]
"""A file, or a folder's files by their paths in it."""


@dataclass(frozen=True)
class Case:
    """A file that must be refused by `reader` with an error that `says` all this; nothing said: it is contained.

    `make` is given a folder that must never be reached, for whoever wants to name it.
    """

    name: str
    reader: str
    file: str
    make: Callable[[Path], Made]
    says: tuple[str, ...] = ()

    @property
    def contained(self) -> bool:
        """Whether it may be read, as long as nothing else is reached."""
        return not self.says


def made(data: Made) -> Callable[[Path], Made]:
    """Make what needs to know of no folder."""
    return lambda _: data


@dataclass(frozen=True)
class Result:
    """What became of a case in its sandbox."""

    case: str
    error: str
    message: str
    hint: str
    changed: tuple[str, ...]
    memory: int
    ended: str
