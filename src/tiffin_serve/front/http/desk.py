"""What all connections of one server share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.front.http.known import KnownHeads
from tiffin_serve.front.http.limits import Limits

HOSTS = 256


class Log(Protocol):
    """Who takes note of answers."""

    def note(self, exchange: Exchange, client: str, status: int, size: int) -> None:
        """Remember an answer."""
        ...


class Visitor(Protocol):
    """A client's connection, as the desk sees it."""

    @property
    def busy(self) -> bool:
        """Whether a request is being read or answered."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether nothing was heard of the client yet."""
        ...

    @property
    def in_flight(self) -> int:
        """How many requests are not answered yet."""
        ...

    def close(self) -> None:
        """Close after what is written has left."""
        ...

    def check_time(self) -> None:
        """Close what took too long."""
        ...


class Desk:
    """What all connections of one server share: limits, clock, who answers, and who is connected.

    `dress` adds what every answer to such a request has, refusals of what could not be read included. `hosts` are
    values of the header `Host` that were found to be names, `heads` those that need not be read again; a body's length
    of fewer than `digits` is within the limit.
    """

    def __init__(
        self,
        serve: Callable[[Exchange], None],
        limits: Limits,
        *,
        dress: Callable[[Exchange], None] | None = None,
        log: Log | None = None,
    ) -> None:
        self.serve = serve
        self.heads = KnownHeads()
        self.allow(limits)
        self.dress = dress
        self.log = log
        self.hosts: set[bytes] = set()
        self.connections: set[Visitor] = set()
        self.draining = False
        self.now = 0.0
        self.date = b""
        self.answered: Callable[[Exchange, int], None] = _nobody
        self.tick()

    def allow(self, limits: Limits) -> None:
        """Let requests be within these limits from now on."""
        self.limits = limits
        self.digits = len(str(limits.body_bytes))
        self.heads.clear()

    def know(self, host: bytes) -> None:
        """Remember that this is a host's name, since the same few come again and again."""
        if len(self.hosts) < HOSTS and len(host) < HOSTS:
            self.hosts.add(host)

    def tick(self, now: float | None = None) -> None:
        """Look at the clock, and close the connections that took too long; call it about once a second."""
        self.now = time.monotonic() if now is None else now
        self.date = time.strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime()).encode()
        for connection in tuple(self.connections):
            connection.check_time()

    @property
    def in_flight(self) -> int:
        """Count the requests that are not answered yet."""
        return sum(connection.in_flight for connection in self.connections)

    def close_idle(self, *, spare_fresh: bool = False) -> None:
        """Close the connections on which nothing is going on; of one that is new, the request may be on its way."""
        for connection in tuple(self.connections):
            if not connection.busy and not (spare_fresh and connection.fresh):
                connection.close()


def _nobody(_: Exchange, __: int) -> None:
    """Count nothing."""
