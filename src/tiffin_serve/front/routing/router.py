"""Which revision answers a request: the one that is asked for, or by the shares; or it waits until one can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import random
from time import monotonic

from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.front.metrics.counters import INFERENCE, protocol_of
from tiffin_serve.front.rest.answers import Waiting
from tiffin_serve.front.rest.streaming import Streaming
from tiffin_serve.front.routing.choice import POINTS, Shares, point_of
from tiffin_serve.front.routing.parking import Parking, hurry, late
from tiffin_serve.front.routing.seat import Passage, Seat, Visit
from tiffin_serve.protocol.errors import RequestError

REVISION = b"tiffin-revision"
ID = b"x-request-id"
AT_ONCE = 64
"""So many of those who waited are let in in one turn of the loop."""


class Router:
    """Gives each request to a seat."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Callable[[], None]) -> None:
        """Route in a loop; `tell` is called when the first request waits, and when a closing revision has closed."""
        self.seats: dict[str, Seat] = {}
        self.parking = Parking(loop, tell)
        self.answers = 0
        self._tell = tell
        self._loop = loop
        self._service = ""
        self._salt = b""
        self._all = self._ready = Shares({})
        self._several = False
        self._unseen = 0

    def use(self, seats: dict[str, Seat], service: str, salt: bytes) -> None:
        """Share requests among these seats from now on; at least one."""
        self.seats, self._service, self._salt = seats, service, salt
        self._several = len(seats) > 1
        self._all = Shares({number: seat.entry.weight for number, seat in seats.items() if seat.open})
        for exchange in self.parking.oldest(len(self.parking)):
            seat = exchange.whose.seat
            if not seat.open or seats.get(seat.number) is not seat:
                self.parking.take(exchange)
                self._again(exchange, exchange.whose)
        self.look()

    def turn_away(self) -> None:
        """Let nobody wait for a worker any more."""
        self.parking.close("the server is stopping")

    def look(self) -> None:
        """See who is ready, and let in who waits for that."""
        ready = {number: seat.entry.weight for number, seat in self.seats.items() if seat.open and seat.ready}
        self._ready = Shares(ready)
        for seat in self.seats.values():
            if ready and not seat.ready and seat.revision.dispatcher.queued:
                self.move(seat)
        if len(self.parking) and ready:
            if not self._unseen:
                self._loop.call_soon(self._let_in)
            self._unseen = len(self.parking)

    @property
    def main(self) -> Seat:
        """Give who answers what asks no model: the largest share, of those who are ready if there are any."""
        return max(self.seats.values(), key=lambda seat: (seat.open, seat.ready, seat.entry.weight, int(seat.number)))

    # --- requests

    def serve(self, exchange: Exchange) -> None:
        """Answer a request, or let it wait."""
        asks = exchange.method == b"POST" and protocol_of(exchange.path) in INFERENCE
        wanted = exchange.headers.get(REVISION)
        if wanted is not None:
            seat = self.seats.get(wanted.decode("latin-1").strip())
            if seat is None or not seat.open:
                self._refuse_unknown(exchange, wanted)
            else:
                self._give(exchange, seat, asks=asks, only=True)
        elif not asks:
            self._give(exchange, self.main, asks=False)
        else:
            self._give(exchange, self._chosen(exchange), asks=True)

    def _chosen(self, exchange: Exchange) -> Seat:
        """Choose by the shares: where the chosen one cannot answer, among those that can."""
        name = exchange.headers.get(ID)
        point = random() * POINTS if name is None else point_of(self._salt, name)  # noqa: S311 - a share, no secret
        seat = self.seats.get(self._all.at(point)) or self.main
        if seat.ready and seat.open:
            return seat
        self._wake(seat)
        return seat if seat.ready else self.seats.get(self._ready.at(point), seat)

    def _give(self, exchange: Exchange, seat: Seat, *, asks: bool, only: bool = False) -> None:
        """Let a seat answer, now or when it can; `only` it."""
        if only and asks:
            self._wake(seat)
        body = exchange.body
        kept = body if asks else None
        seat.enter(exchange, Passage(seat, monotonic(), kept, exchange.connection, asks and seat.open))
        if len(body) > seat.limit:
            exchange.refuse(413, f"the body is larger than {seat.limit} bytes")
        elif not asks or (seat.ready and seat.open) or not seat.admits(exchange):
            self._serve(exchange, seat)
        else:
            self.parking.park(exchange, seat)

    def _wake(self, seat: Seat) -> None:
        if seat.wake():
            self._tell()

    def _serve(self, exchange: Exchange, seat: Seat) -> None:
        if self._several:
            exchange.extra += seat.mark
        if not isinstance(exchange, Visit):
            seat.revision.serve(exchange)
        elif not exchange.arrived.done():
            exchange.arrived.set_result(seat)

    def _refuse_unknown(self, exchange: Exchange, wanted: bytes) -> None:
        exchange.refuse(404, self._unknown(wanted))

    def _unknown(self, wanted: bytes) -> str:
        there = ", ".join(sorted((number for number, seat in self.seats.items() if seat.open), key=int))
        asked = wanted[:40].decode("latin-1")
        return f"there is no revision '{asked}' of {self._service}; there is {there or 'none'}"

    def named(self, exchange: Exchange) -> Seat:
        """Give who answers what asks no model: whom a request names, else the main one; raises RequestError."""
        wanted = exchange.headers.get(REVISION)
        seat = self.main if wanted is None else self.seats.get(wanted.decode("latin-1").strip())
        if seat is None or (wanted is not None and not seat.open):
            raise RequestError(self._unknown(wanted or b""), 404)
        return seat

    def answered(self, exchange: Exchange, status: int) -> None:
        """Count an answer to whoever gave it."""
        passage: Passage | None = exchange.whose
        if passage is None:
            self.main.revision.metrics.answered(exchange, status)
            return
        passage.seat.revision.metrics.answered(exchange, status)
        self.left(exchange)

    def left(self, exchange: Exchange) -> None:
        """Count that a request is answered, or waits no more."""
        if exchange.whose is None:
            return
        seat: Seat = exchange.whose.seat
        seat.leave(exchange.whose)
        self.answers += 1
        if not seat.in_flight and seat.state == "closed":
            self._tell()

    # --- those who wait

    def _let_in(self) -> None:
        """Route anew who has waited longest; those who still have nobody wait on."""
        some = self.parking.oldest(min(AT_ONCE, self._unseen))
        for exchange in some:
            self.parking.take(exchange)
            self._again(exchange, exchange.whose)
        self._unseen = max(self._unseen - AT_ONCE, 0) if some else 0
        if self._unseen:
            self._loop.call_soon(self._let_in)

    def move(self, seat: Seat) -> None:
        """Route anew what waits in the queue of a seat that cannot or must not answer it."""
        for job in seat.revision.dispatcher.empty():
            waiter = job.release()
            passage: Passage | None = waiter.exchange.whose if isinstance(waiter, Waiting | Streaming) else None
            if not isinstance(waiter, Waiting | Streaming) or passage is None or passage.body is None:
                waiter.fail(RequestError("the revision that was to answer is gone", 503, 1))
                continue
            exchange = waiter.exchange
            exchange.body, exchange.connection, exchange.extra = passage.body, passage.channel, b""
            exchange.abandoned = exchange.room = None
            passage.deadline = job.deadline
            self._again(exchange, passage)

    def _again(self, exchange: Exchange, passage: Passage) -> None:
        """Route a request anew, for what is left of its time."""
        passage.seat.leave(passage)
        left = 0.0 if passage.deadline is None else passage.deadline - monotonic()
        wanted = exchange.headers.get(REVISION)
        seat = self._chosen(exchange) if wanted is None else self.seats.get(wanted.decode("latin-1").strip())
        if seat is None or (wanted is not None and not seat.open):
            exchange.whose = None
            self._refuse_unknown(exchange, wanted or b"")
            return
        again = Passage(seat, monotonic(), exchange.body, passage.channel, seat.open, passage.deadline)
        seat.enter(exchange, again)
        if left <= 0:
            late(exchange)
        elif seat.ready and seat.open:
            hurry(exchange, left)
            self._serve(exchange, seat)
        else:
            self.parking.park(exchange, seat)
