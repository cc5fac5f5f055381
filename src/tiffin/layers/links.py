"""Symbolic links inside a root that is not this machine's: followed as a chroot would, by their text alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from tiffin.errors import ConfigError

_MOST_LINKS = 40
"""As many symbolic links as the kernel follows."""


def follow(path: str, link_of: Callable[[str], str | None]) -> str:
    """Follow every symbolic link of an absolute path; what is absent is kept as it is.

    `link_of` tells the text of a link by its absolute path, whose parents were followed before, and None for whatever
    is none. Raises ConfigError where there are too many.
    """
    todo, done, links = list(reversed(PurePosixPath(path).parts[1:])), PurePosixPath("/"), 0
    while todo:
        part = todo.pop()
        if part == "..":
            done = done.parent
            continue
        text = link_of(str(done / part))
        if text is None:
            done /= part
            continue
        links += 1
        if links > _MOST_LINKS:
            raise ConfigError(f"too many symbolic links in the image's {path}", "give the path they should lead to")
        target = PurePosixPath(text)
        if target.is_absolute():
            done = PurePosixPath("/")
        todo += reversed([part for part in target.parts if part != "/"])
    return str(done)
