"""An address to a verified file: tried again where that may help, hashed while it streams, visible only when whole."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tiffin.durable import renamed
from tiffin.errors import IntegrityError
from tiffin.oci.digest import Digest
from tiffin.packages.web import BusyError, Web
from tiffin.progress import Step, step

ATTEMPTS = 4
_BACKOFF = 0.5
"""Seconds before the second attempt; doubled before each further one."""
_PATIENCE = 60.0
"""Seconds for which a server's wish to be left alone is obeyed at most."""
Pause = Callable[[float], object]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A file to download: what to call it, and which bytes it must have; `size` is in bytes where it is known."""

    name: str
    sha256: Digest
    size: int | None = None


def download(web: Web, url: str, wanted: Wanted, target: Path, pause: Pause = time.sleep) -> None:
    """Bring a file to `target`, whole and verified or not at all; `pause` waits some seconds between attempts.

    Raises IntegrityError for other bytes than the wanted, NotFoundError or DeniedError at once, and UnavailableError
    when the last attempt failed.
    """
    with step("download", wanted.name, total=wanted.size, unit="bytes") as running:
        for attempt in range(ATTEMPTS):
            try:
                _receive(web.read(url), wanted, target, running)
            except BusyError as error:
                if attempt == ATTEMPTS - 1:
                    raise
                pause(_BACKOFF * 2**attempt if error.pause is None else min(error.pause, _PATIENCE))
            else:
                return


def _receive(pieces: Iterator[bytes], wanted: Wanted, target: Path, running: Step) -> None:
    hashed, received = hashlib.sha256(), 0
    try:
        with renamed(target) as file:
            for piece in pieces:
                hashed.update(piece)
                received += len(piece)
                if wanted.size is not None and received > wanted.size:
                    raise _changed(wanted, f"it has more than {wanted.size} bytes")
                file.write(piece)
                running.advance(len(piece))
            if hashed.hexdigest() != wanted.sha256.hex:
                raise _changed(wanted, f"its sha256 is {hashed.hexdigest()}")
    except BusyError:
        running.advance(-received)
        raise


def _changed(wanted: Wanted, found: str) -> IntegrityError:
    message = f"{wanted.name} is not the file that was pinned ({wanted.sha256}): {found}"
    return IntegrityError(message, "find out why it changed; `tiffin lock` pins what is there now")
