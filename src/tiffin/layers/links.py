"""What unpacked layers say of themselves: links, followed as a chroot would by their text alone, and opaque folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from tiffin.errors import ConfigError

_MOST_LINKS = 40
"""As many symbolic links as the kernel follows."""


OPAQUE, YES = "user.overlay.opaque", b"y"
"""The attribute of a folder that hides what the layers below have in its place, and its value."""


def is_opaque(folder: Path) -> bool:
    """Say whether an unpacked folder hides what the layers below have in its place."""
    try:
        return os.getxattr(folder, OPAQUE, follow_symlinks=False) == YES
    except OSError:
        return False


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
