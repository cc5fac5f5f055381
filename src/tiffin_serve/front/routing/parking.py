"""Requests that wait unread at a front, since no revision has a worker for them yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic

from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.front.rest.answers import refuse
from tiffin_serve.front.rest.asking import HEADER, seconds_of
from tiffin_serve.front.routing.seat import Passage, Seat
from tiffin_serve.protocol.errors import RequestError

BODIES = 4
"""How many requests of the largest size may wait; of smaller ones as many as have the same bytes."""


class Parking:
    """Who waits, oldest first, with what will answer them in time: the deadline."""

    def __init__(self, loop: asyncio.AbstractEventLoop, began: Callable[[], None]) -> None:
        """Wait in a loop; `began` is told when someone waits where nobody did."""
        self._loop = loop
        self._began = began
        self._waiting: dict[Exchange, asyncio.TimerHandle] = {}
        self._bytes = 0
        self._closed = ""

    def __len__(self) -> int:
        return len(self._waiting)

    def park(self, exchange: Exchange, seat: Seat) -> None:
        """Let a request of a seat wait, or refuse it: too many wait, or its time is over."""
        passage: Passage = exchange.whose
        serving = seat.revision.service.serve
        try:
            self._check(exchange, seat)
            if passage.deadline is None:
                passage.deadline = exchange.began + _patience(exchange, serving.deadline_ms / 1000)
        except RequestError as error:
            refuse(exchange, error)
            return
        first, left = not self._waiting, passage.deadline - monotonic()
        self._waiting[exchange] = self._loop.call_later(max(left, 0.0), self._give_up, exchange)
        self._bytes += len(exchange.body)
        seat.parked += 1
        exchange.abandoned = partial(self.take, exchange)
        if first:
            self._began()

    def _check(self, exchange: Exchange, seat: Seat) -> None:
        """Raise RequestError where a request cannot wait."""
        if self._closed:
            raise RequestError(self._closed, 503, 1)
        serving, size = seat.revision.service.serve, self._bytes + len(exchange.body)
        if len(self._waiting) >= serving.queue or (self._waiting and size > BODIES * serving.max_body_bytes):
            seat.revision.metrics.rejected("queue")
            raise RequestError("too many requests wait already", 503, 1)

    def take(self, exchange: Exchange) -> None:
        """Let a request wait no more."""
        timer = self._waiting.pop(exchange, None)
        if timer is not None:
            timer.cancel()
            self._bytes -= len(exchange.body)
            exchange.whose.seat.parked -= 1
            exchange.abandoned = None

    def oldest(self, most: int) -> list[Exchange]:
        """List those that have waited longest."""
        return [exchange for exchange, _ in zip(self._waiting, range(most), strict=False)]

    def close(self, why: str) -> None:
        """Send all away, who may come again elsewhere, and whoever comes from now on."""
        self._closed = why
        for exchange in list(self._waiting):
            self.take(exchange)
            refuse(exchange, RequestError(why, 503, 1))

    def _give_up(self, exchange: Exchange) -> None:
        self.take(exchange)
        late(exchange)


def late(exchange: Exchange) -> None:
    """Answer a request whose time is over."""
    passage: Passage = exchange.whose
    passage.seat.revision.metrics.rejected("late")
    seconds = (passage.deadline or exchange.began) - exchange.began
    refuse(exchange, RequestError(f"there was no answer within {seconds:.3g} seconds", 504))


def hurry(exchange: Exchange, left: float) -> None:
    """Let whoever reads a request know how much of its time is left, in the words that clients have for it."""
    exchange.headers = {**exchange.headers, HEADER: b"%d" % max(round(1000 * left), 1)}


def _patience(exchange: Exchange, most: float) -> float:
    """Say how long a client waits; raises RequestError where that cannot be read."""
    said = seconds_of(exchange.headers) if HEADER in exchange.headers else None
    return most if said is None else min(said, most)
