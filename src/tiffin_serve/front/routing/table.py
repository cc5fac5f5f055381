"""The table of a front: which revisions a service has, and how requests are shared among them (spec/fronts.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tiffin_serve.protocol.service import Document, Seconds

Number = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}$")]
Weight = Annotated[float, Meta(ge=0, le=1e6)]
Words = Annotated[str, Meta(min_length=1)]


class Entry(Document, frozen=True, kw_only=True):
    """One revision: where its documents are, what its workers say who they are by, and its share of the requests.

    `open` serves; `closing` is asked nothing more and finishes what it has; `asleep` has let its workers go until the
    first request.
    """

    folder: Words
    token: Words
    image: str = ""
    weight: Weight = 0.0
    state: Literal["open", "closing", "asleep"] = "open"
    bearer: str = ""
    drain_seconds: Seconds | None = None


class Table(Document, frozen=True, kw_only=True):
    """A service's revisions by number; `bearer` and `drain_seconds` are of those that say nothing of their own.

    `salt` is in hexadecimal digits; `poke` is the path of a datagram socket that is told of changes, and with `samples`
    each second while there are requests. One that `wakes` lets clients in before there is a worker.
    """

    service: Words
    revisions: Annotated[dict[Number, Entry], Meta(min_length=1)]
    salt: Annotated[str, Meta(pattern=r"^([0-9a-fA-F]{2})*$")] = ""
    poke: str = ""
    samples: bool = False
    wakes: bool = False
    bearer: str = ""
    drain_seconds: Seconds | None = None


def read(path: Path) -> Table:
    """Read the table; raises OSError, or ValueError that names the file and the place in it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Table)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error
