"""What a front of several revisions serves: the seats of its table, one desk, and what is told of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from tiffin_serve.front.http.desk import Desk
from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.front.http.limits import Limits
from tiffin_serve.front.log import Writer, report
from tiffin_serve.front.routing.admin import AdminApi
from tiffin_serve.front.routing.calls import Calls
from tiffin_serve.front.routing.pokes import Poker
from tiffin_serve.front.routing.router import Router
from tiffin_serve.front.routing.seat import Passage, Seat, forget_hall, hall_for, place
from tiffin_serve.front.routing.table import Entry, Table, read
from tiffin_serve.front.rpc.switch import Switch


class Routed:
    """A house of several revisions; `changed` is called when there is a worker more or less."""

    def __init__(self, path: Path, table: Table, loop: asyncio.AbstractEventLoop, writer: Writer) -> None:
        """Take the seats that the table says; raises OSError, ValueError."""
        self._path = path
        self._loop = loop
        self._writer = writer
        self.changed: Callable[[], None] = lambda: None
        self.table = table
        self.poker = Poker(table.service, table.poke)
        self.router = Router(loop, self._poke)
        seats = {number: place(number, table, loop, writer) for number in table.revisions}
        self.desk = Desk(self.router.serve, _largest(seats), dress=self._dress)
        self.desk.answered = self.router.answered
        self.admin = Desk(AdminApi(self.router, self._tell, self._reread).serve, Limits(body_bytes=1024))
        self._gone: list[Seat] = []
        self._known: object = None
        self._looking = False
        self._answered = 0
        self._listening: set[asyncio.Task[None]] = set()
        self._sit(table, seats)

    # --- the table

    def _tell(self) -> dict[str, object]:
        """Say how it is."""
        return {
            "service": self.table.service,
            "pid": os.getpid(),
            "waiting": len(self.router.parking),
            "revisions": {number: seat.told() for number, seat in self.router.seats.items()},
        }

    def _reread(self) -> None:
        """Do as the table says now; raises OSError, ValueError, and then everything is as it was."""
        table, seats = read(self._path), self.router.seats
        fresh = {
            number: place(number, table, self._loop, self._writer)
            for number, entry in table.revisions.items()
            if number not in seats or not _is_same(entry, seats[number].entry)
        }
        for number, seat in fresh.items():
            self._listen(seat, number)
        kept = {number: fresh.get(number) or seats[number] for number in table.revisions}
        dropped = [seat for number, seat in seats.items() if kept.get(number) is not seat]
        if table.poke != self.table.poke or table.service != self.table.service:
            self.poker.close()
            self.poker = Poker(table.service, table.poke)
        self._sit(table, kept)
        for seat in dropped:
            self._drop(seat)
        self.changed()
        self._poke()

    def _sit(self, table: Table, seats: dict[str, Seat]) -> None:
        self.table = table
        for number, seat in seats.items():
            if not seat.open and table.revisions[number].state != "closing":
                seat.revision.metrics.begin_again()
            seat.entry = table.revisions[number]
            seat.revision.crew.changed = self._on_changed
            seat.revision.api.wakes = table.wakes
            seat.settle()
        self.desk.allow(_largest(seats))
        self.desk.log = self if any(seat.revision.log is not None for seat in seats.values()) else None
        self.router.use(seats, table.service, bytes.fromhex(table.salt))

    def _drop(self, seat: Seat) -> None:
        """Let a revision go that the table has no more: what waits is routed anew, what is out is finished."""
        self.router.move(seat)
        seat.drop()
        if seat.number not in self.router.seats:
            forget_hall(seat.entry)
        self._gone = [each for each in [*self._gone, seat] if each.in_flight]

    def _listen(self, seat: Seat, number: str) -> None:
        try:
            hall = hall_for(seat.entry)
        except OSError as error:
            report("the workers of a revision cannot come in", revision=number, error=str(error))
            raise
        task = self._loop.create_task(seat.revision.listen(hall))
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)

    # --- what a front asks of its house

    @property
    def ready(self) -> bool:
        """Say whether anyone could answer, or one would come to do it."""
        return self.table.wakes or any(seat.ready for seat in self.router.seats.values())

    @property
    def drain_seconds(self) -> float:
        """Give how long it accepts after it was told to stop."""
        return max(seat.revision.service.serve.drain_seconds for seat in self.router.seats.values())

    @property
    def rpc(self) -> Switch:
        """Give who is asked by gRPC."""
        return Calls(self.router)

    async def listen(self) -> None:
        """Let in workers."""
        for seat in self.router.seats.values():
            await seat.revision.listen(hall_for(seat.entry))

    def begin(self) -> None:
        """Begin; others start the workers."""

    def drain(self) -> None:
        """Be not ready from now on, and send those away who then still wait for a worker to come."""
        for seat in self.router.seats.values():
            seat.revision.api.draining = True
        self._loop.call_later(self.drain_seconds, self.router.turn_away)

    def tick(self) -> None:
        """Look at samples, and tell who counts requests that there are some."""
        for seat in self.router.seats.values():
            seat.revision.metrics.drift.digest()
            seat.settle()
        some = self.router.answers != self._answered or any(seat.in_flight for seat in self.router.seats.values())
        self._answered = self.router.answers
        if some and self.table.samples:
            self._poke()

    async def stop(self) -> None:
        """Let the workers finish and go."""
        for seat in [*self.router.seats.values(), *self._gone]:
            await seat.revision.crew.stop()
            if seat.revision.log is not None:
                seat.revision.log.flush()
        self.poker.close()

    def stop_now(self) -> None:
        """Kill nobody: the workers are others'."""

    # --- what a desk asks

    def _dress(self, exchange: Exchange) -> None:
        dress = self.router.main.revision.dress
        if dress is not None:
            dress(exchange)

    def note(self, exchange: Exchange, client: str, status: int, size: int) -> None:
        """Have a line in the log of the revision that answered, where it keeps one."""
        passage: Passage | None = exchange.whose
        log = (passage.seat if passage is not None else self.router.main).revision.log
        if log is not None:
            log.note(exchange, client, status, size)

    # --- what happens

    def _on_changed(self) -> None:
        if not self._looking:
            self._looking = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        self.router.look()
        for seat in self._gone:
            if not seat.ready:
                self.router.move(seat)
        self.changed()
        seats = self.router.seats.items()
        known = {
            number: (seat.revision.workers.since(), dict(seat.revision.workers.failures)) for number, seat in seats
        }
        if known != self._known:
            self._known = known
            self._poke()

    def _poke(self) -> None:
        self.poker.poke()


def _is_same(entry: Entry, other: Entry) -> bool:
    """Say whether two entries are of one revision, whatever its share and state."""
    return (entry.folder, entry.token, entry.image, entry.bearer) == (
        other.folder,
        other.token,
        other.image,
        other.bearer,
    )


def _largest(seats: dict[str, Seat]) -> Limits:
    """Give the limits within which any of the revisions would take a request."""
    all_limits = [seat.revision.limits for seat in seats.values()]
    return Limits.of(
        max(limits.body_bytes for limits in all_limits), max(limits.header_seconds for limits in all_limits)
    )
