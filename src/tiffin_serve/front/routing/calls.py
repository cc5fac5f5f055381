"""Calls by gRPC at a front of several revisions: each is routed as a request of HTTP is, before its message is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import msgspec

from tiffin_serve.front.http.exchange import Exchange, Flow
from tiffin_serve.front.rest.asking import HEADER
from tiffin_serve.front.routing.router import ID, REVISION, Router
from tiffin_serve.front.routing.seat import Seat, Visit
from tiffin_serve.front.rpc.switch import Chosen, Metadata, Served
from tiffin_serve.protocol.errors import RequestError

_LONGEST_MS = 999_999_999


class Answers:
    """Where a refusal of a call leaves by: whoever waits for a seat hears it."""

    congested = False

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    def flush(self) -> None:
        """Tell why there is no seat."""
        status, body, _ = self._visit.reply or (500, b'{"error": "internal error"}', b"")
        if not self._visit.arrived.done():
            self._visit.arrived.set_exception(RequestError(msgspec.json.decode(body)["error"], status))

    def bound(self, flow: Flow) -> None:
        """Bound nothing: no answer is sent this way."""


class Calls:
    """The switch of a front of several revisions."""

    def __init__(self, router: Router) -> None:
        self._router = router

    @property
    def ready(self) -> bool:
        """Say whether calls are answered."""
        return any(seat.ready or seat.revision.api.wakes for seat in self._router.seats.values())

    @property
    def most_bytes(self) -> int:
        """Give how long a message to any of them may be."""
        return max(seat.limit for seat in self._router.seats.values())

    def main(self, metadata: Metadata) -> Served:
        """Give who answers what asks no model; raises RequestError where there is none of that name."""
        return self._router.named(Exchange(None, b"POST", b"", _headers(metadata, None))).revision.rpc

    @asynccontextmanager
    async def choose(self, metadata: Metadata, seconds: float | None, size: int) -> AsyncIterator[Chosen]:
        """Give who answers a call, when it can; raises RequestError."""
        visit = Visit(None, b"POST", b"/predict", _headers(metadata, seconds), began=monotonic())
        visit.arrived = asyncio.get_running_loop().create_future()
        visit.connection = Answers(visit)
        try:
            self._router.serve(visit)
            seat: Seat = await visit.arrived
            if size > seat.limit:
                raise RequestError(f"the message is larger than {seat.limit} bytes", 413)
            if visit.whose.deadline is not None:
                seconds = max(visit.whose.deadline - monotonic(), 0.001)
            said = ((REVISION.decode(), seat.number),) if len(self._router.seats) > 1 else ()
            yield Chosen(seat.revision.rpc, seconds, said)
        finally:
            visit.connection = None
            if visit.abandoned is not None:
                visit.abandoned()
            self._router.left(visit)


def _headers(metadata: Metadata, seconds: float | None) -> dict[bytes, bytes]:
    """Say in HTTP's words what a router looks at."""
    found = {}
    for name in (REVISION, ID, b"authorization"):
        value = metadata.get(name.decode())
        if value is not None:
            found[name] = value.encode() if isinstance(value, str) else value
    if seconds is not None:
        found[HEADER] = b"%d" % min(max(round(1000 * seconds), 1), _LONGEST_MS)
    return found
