"""What was looked at when something was decided: while it stays so, the decision does. Standard library only."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # what `typing` calls the same; importing it would delay what is started again
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypedDict

    class Seen(TypedDict):
        """Files and what tells one version of each from another, folders and which they are, texts of the kernel.

        What is absent is None.
        """

        files: dict[str, list[int] | None]
        folders: dict[str, list[int] | None]
        texts: dict[str, str | None]


def look(files: Iterable[str], folders: Iterable[str], texts: Iterable[str]) -> Seen:
    """Look at files, at folders of which only the name matters, and at what the kernel says of itself."""
    return {
        "files": {path: _version(path) for path in files},
        "folders": {path: _version(path, whole=False) for path in folders},
        "texts": {path: _text(path) for path in texts},
    }


def same(seen: Seen) -> bool:
    """Say whether all is as it was seen."""
    return (
        all(_version(path) == was for path, was in seen["files"].items())
        and all(_version(path, whole=False) == was for path, was in seen["folders"].items())
        and all(_text(path) == was for path, was in seen["texts"].items())
    )


def _version(path: str, *, whole: bool = True) -> list[int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib would delay what is started again
    except OSError:
        return None
    which = [found.st_dev, found.st_ino]
    return [*which, found.st_size, found.st_mtime_ns, found.st_ctime_ns] if whole else which


def _text(path: str) -> str | None:
    try:
        with open(path) as stream:  # noqa: PTH123 - as above
            return stream.read()
    except OSError:
        return None
