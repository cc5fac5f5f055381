"""An address to a verified file: tried again where that may help, hashed while it streams, visible only when whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tiffin.durable import renamed
from tiffin.errors import IntegrityError, TiffinError
from tiffin.network import shown
from tiffin.oci.digest import Digest
from tiffin.packages.web import Web
from tiffin.progress import step


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A file to download: what to call it, and which bytes it must have; `size` is in bytes where it is known."""

    name: str
    sha256: Digest
    size: int | None = None


def download(web: Web, url: str, wanted: Wanted, target: Path) -> None:
    """Bring a file to `target` as `receive` does, as a step of its own."""
    with step("download", wanted.name, total=wanted.size, unit="bytes") as running:
        receive(web, url, wanted, target, running.advance)


def receive(
    web: Web, url: str, wanted: Wanted, target: Path, advance: Callable[[int], object] = lambda _: None
) -> None:
    """Bring a file to `target`, whole and verified or not at all; `advance` hears how many bytes came.

    Of bytes that came in vain it hears once more, as a negative number.

    Raises IntegrityError for other bytes than the wanted, NotFoundError or DeniedError at once, and UnavailableError
    when the last attempt failed.
    """

    def attempt() -> None:
        received = 0
        try:
            with renamed(target) as file:
                for piece in _checked(web.read(url), wanted, web.hints.changed):
                    file.write(piece)
                    received += len(piece)
                    advance(len(piece))
        except TiffinError:
            advance(-received)
            raise

    web.patience.tried(attempt)


def read_small(web: Web, url: str, limit: int) -> bytes:
    """Return what a small document has; raises IntegrityError for more than `limit` bytes, or as `receive` does."""

    def attempt() -> bytes:
        data = bytearray()
        for piece in web.read(url):
            data += piece
            if len(data) > limit:
                raise IntegrityError(f"{shown(url)} has more than {limit} bytes", web.hints.changed)
        return bytes(data)

    return web.patience.tried(attempt)


def _checked(pieces: Iterator[bytes], wanted: Wanted, hint: str) -> Iterator[bytes]:
    """Pass bytes on; raises IntegrityError at the end when they are not the wanted, or when there are too many."""
    hashed, count = hashlib.sha256(), 0
    for piece in pieces:
        hashed.update(piece)
        count += len(piece)
        if wanted.size is not None and count > wanted.size:
            raise _other(wanted, f"{wanted.size} bytes", "more than that", hint)
        yield piece
    if wanted.size not in (None, count):
        raise _other(wanted, f"{wanted.size} bytes", str(count), hint)
    if hashed.hexdigest() != wanted.sha256.hex:
        raise _other(wanted, f"the digest {wanted.sha256}", f"sha256:{hashed.hexdigest()}", hint)


def _other(wanted: Wanted, expected: str, found: str, hint: str) -> IntegrityError:
    message = f"{wanted.name} should have {expected} but has {found}: it is not the file that was pinned"
    return IntegrityError(message, hint)
