"""One revision in the table of a front: what it may have, what is in it, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from msgspec import structs

from tiffin_serve.front.http.bearer import FILE_VARIABLE, Tokens, read_tokens
from tiffin_serve.front.http.exchange import Channel, Exchange
from tiffin_serve.front.log import Writer
from tiffin_serve.front.revision import Outfit, Revision
from tiffin_serve.front.routing.table import Entry, Table
from tiffin_serve.front.sockets import hall_at
from tiffin_serve.front.workers.stopped import Stopped
from tiffin_serve.protocol.service import Service, read

HALL, SOCKET = "hall", "worker.sock"
KEPT_BYTES = 64 << 20
"""So many bytes of bodies are kept until the answer, so that their requests can go elsewhere."""


class Passage(msgspec.Struct, eq=False):
    """A request's way through a seat: since when it is there, and as it came, so that it can go elsewhere.

    `deadline` is set for one that has waited for a worker to come: its time is spent by then.
    """

    seat: Seat
    entered: float
    body: bytes | None
    channel: Channel | None
    counted: bool = True
    deadline: float | None = None


class Visit(Exchange, eq=False):
    """A request that is no exchange of HTTP: who sent it waits for the seat that is to answer it."""

    arrived: Any = None


class Seat:
    """A revision and its requests: those that ask the model count, from when they came to when they are answered."""

    def __init__(self, number: str, entry: Entry, revision: Revision) -> None:
        self.number = number
        self.entry = entry
        self.revision = revision
        self.mark = b"tiffin-revision: %b\r\n" % number.encode()
        self.limit = revision.service.serve.max_body_bytes
        self.in_flight = 0
        self.parked = 0
        self.dropped = False
        self.awake = False
        self._kept = 0
        self._seconds = 0.0
        self._entered = 0.0

    @property
    def ready(self) -> bool:
        """Say whether one of its workers could answer."""
        return self.revision.workers.ready

    @property
    def open(self) -> bool:
        """Say whether it is asked."""
        return self.entry.state != "closing" and not self.dropped

    @property
    def state(self) -> str:
        """Say how it is, which may be further than how it is wanted."""
        if self.entry.state == "closing" and not self.in_flight:
            return "closed"
        return "awake" if self.awake else self.entry.state

    def admits(self, exchange: Exchange) -> bool:
        """Say whether a request may wait for it: it will be asked for its token again when it is answered."""
        tokens = self.revision.tokens
        return tokens is None or tokens.accept(exchange.headers.get(b"authorization", b""))

    def wake(self) -> bool:
        """Have workers again, where they were let go or were to be; say whether that is news."""
        if self.awake or self.entry.state != "asleep":
            return False
        self.awake = True
        self.revision.crew.wake()
        return True

    def settle(self) -> None:
        """Do as the entry says: go to sleep where nothing is to be done, or wake up."""
        crew, state = self.revision.crew, self.entry.state
        if state != "asleep":
            self.awake = False
            if state == "open":
                crew.wake()
            else:
                crew.stopped.go_on()  # it will be told to end, which it has to hear
        elif self.in_flight:
            self.wake()
        elif not (self.awake or crew.asleep or self.revision.dispatcher.busy):
            crew.sleep()

    def enter(self, exchange: Exchange, passage: Passage) -> None:
        """Count a request that comes; it is answered by this seat from now on."""
        exchange.whose = passage
        size = len(passage.body or b"")
        if self._kept + size > KEPT_BYTES:
            passage.body, size = None, 0
        self._kept += size
        if passage.counted:
            self.in_flight += 1
            self._entered += passage.entered

    def leave(self, passage: Passage) -> None:
        """Count a request that goes, answered or elsewhere."""
        self._kept -= len(passage.body or b"")
        if passage.counted:
            self.in_flight -= 1
            self._entered -= passage.entered
            self._seconds += monotonic() - passage.entered
            if not self.in_flight:
                self._entered = 0.0  # what was added and taken away in floating point is not quite nothing
                if self.dropped:
                    self.revision.crew.dismiss()

    @property
    def seconds(self) -> float:
        """Sum up how long requests have been in it, those that are still there included."""
        return self._seconds + self.in_flight * monotonic() - self._entered

    def drop(self) -> None:
        """Let in no worker any more, and let those that are here go when they have answered."""
        self.dropped = True
        self.revision.close()
        if not self.in_flight:
            self.revision.crew.dismiss()

    def told(self) -> dict[str, object]:
        """Say how it is."""
        workers, dispatcher = self.revision.workers, self.revision.dispatcher
        return {
            "state": self.state,
            "weight": self.entry.weight,
            "ready": workers.since(),
            "warm": sorted(self.revision.crew.warm),
            "failures": workers.failures,
            "in_flight": self.in_flight,
            "waiting": dispatcher.queued + self.parked,
            "seconds": max(self.seconds, 0.0),
            **self.revision.metrics.asked(),
            "restarts": self.revision.metrics.restarts,
        }


def place(number: str, table: Table, loop: asyncio.AbstractEventLoop, writer: Writer) -> Seat:
    """Make the seat of an entry, whose workers may come when it listens; raises OSError, ValueError."""
    entry = table.revisions[number]
    service = _read(Path(entry.folder), entry, table)
    tokens = _tokens(entry.bearer or table.bearer) if service.serve.auth == "bearer" else None
    outfit = Outfit(service=service, token=entry.token, image=entry.image, tokens=tokens, number=number)
    revision = Revision(outfit, loop, writer, lambda *_: None)
    revision.crew.stopped = Stopped(Path(entry.folder, "stopped"))
    revision.crew.stopped.recover()
    return Seat(number, entry, revision)


def _tokens(path: str) -> Tokens:
    environ: Mapping[str, str] = {FILE_VARIABLE: path} if path else os.environ
    return read_tokens(environ)


def _read(folder: Path, entry: Entry, table: Table) -> Service:
    """Read the service of a folder; the files that it names are beside it."""
    service = read(folder / "service.json")
    checks = [
        structs.replace(
            check, request=str(folder / check.request), expect=str(folder / check.expect) if check.expect else ""
        )
        for check in service.checks
    ]
    baseline = str(folder / service.baseline) if service.baseline else ""
    given = next((s for s in (entry.drain_seconds, table.drain_seconds) if s is not None), service.serve.drain_seconds)
    serve = structs.replace(service.serve, drain_seconds=given)
    return structs.replace(service, checks=checks, baseline=baseline, serve=serve)


def hall_of(entry: Entry) -> Path:
    """Give the path of the socket that the workers of a revision connect to."""
    return Path(entry.folder, HALL, SOCKET)


def hall_for(entry: Entry) -> socket.socket:
    """Have the socket that the workers of a revision connect to; raises OSError."""
    path = hall_of(entry)
    path.parent.mkdir(mode=0o755, exist_ok=True)
    return hall_at(path, others=True)


def forget_hall(entry: Entry) -> None:
    """Take away the socket of a revision that is there no more."""
    with contextlib.suppress(OSError):
        hall_of(entry).unlink(missing_ok=True)
