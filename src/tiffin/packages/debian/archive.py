"""Get files from Debian mirrors: the first that has a file gives it, and what arrives is checked while it arrives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from tiffin.errors import TiffinError
from tiffin.network import Hints, Patience, shown
from tiffin.oci.digest import Digest
from tiffin.packages.debian.sources import Mirrors
from tiffin.packages.download import Wanted, read_small, receive
from tiffin.packages.web import Web

T = TypeVar("T")

HINTS = Hints(
    absent="check `[image] mirror`; where a package has left the archive, run `tiffin lock` again",
    denied="put the right user name and password into the mirror's address or into ~/.netrc",
    busy="check the network and the proxy, try again later, or use another mirror",
    refused="check the mirror's address, or use another mirror",
    changed="try again, or use another mirror: this file is damaged or not the one that was signed",
)
PATIENCE = Patience(unreachable=2)
"""There is another mirror to ask, or the index seen last to use."""


class Archive:
    """Debian's archive as its mirrors show it."""

    def __init__(self, mirrors: Mirrors, patience: Patience = PATIENCE) -> None:
        """Use the mirrors' proxies; nothing is asked of them yet."""
        self._web = Web(HINTS, proxies=mirrors.proxies, patience=patience)

    def read(self, mirrors: Sequence[str], path: str, limit: int) -> bytes:
        """Return a small file; raises IntegrityError when it has more than `limit` bytes."""
        return first(mirrors, lambda mirror: read_small(self._web, f"{mirror}/{path}", limit))

    def download(self, mirrors: Sequence[str], path: str, target: Path, expected: tuple[Digest, int]) -> None:
        """Put a file at `target`, whole or not at all; raises IntegrityError when digest or size in bytes differ."""
        sha256, size = expected

        def get(mirror: str) -> None:
            url = f"{mirror}/{path}"
            receive(self._web, url, Wanted(name=shown(url), sha256=sha256, size=size), target)

        first(mirrors, get)


def first(mirrors: Sequence[str], get: Callable[[str], T]) -> T:
    """Ask mirror after mirror; when none gives the file, the first one's error counts."""
    errors: list[TiffinError] = []
    for mirror in mirrors:
        try:
            return get(mirror)
        except TiffinError as error:
            errors.append(error)
    raise errors[0]
