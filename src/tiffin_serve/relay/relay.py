"""Connections to replicas: each goes to the ready one that has fewest, waits where there is none, and may finish.

What it tells is what a front of models tells (spec/fronts.md), a connection being what a request is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tiffin_serve.relay.choosing import Shares, fewest
from tiffin_serve.relay.counting import Counts
from tiffin_serve.relay.pairs import Pair
from tiffin_serve.relay.probing import Health
from tiffin_serve.relay.table import Revision, Table, Upstream

CONNECT_SECONDS = 2.0
QUIET_SECONDS, LEAST_QUIET, SHRINK_SECONDS = 0.25, 0.005, 10.0
"""What is to finish, owes no answer and has been silent for so long is closed; the later it is, the less will do."""
HTTP_QUIET = 2.0
LOOK_SECONDS = 0.05
SAMPLE_SECONDS = 1.0


class Relay:
    """The table, the replicas, and all connections; `door` is told whether more of them are to be accepted."""

    def __init__(self, table: Table, door: Callable[[bool], None]) -> None:
        self._door = door
        self._table = Table(service=table.service, revisions={})
        self._health: dict[tuple[str, str], Health] = {}
        self._counts: dict[str, Counts] = {}
        self._shares = Shares()
        self._pairs: set[Pair] = set()
        self._parked: dict[Pair, asyncio.TimerHandle] = {}
        self._load: Counter[tuple[str, str]] = Counter()
        self._turns: dict[str, int] = {}
        self._closing: dict[str, float] = {}
        self._draining: dict[tuple[str, str], float] = {}
        self._told_closed: set[str] = set()
        self._woken: set[str] = set()
        self._opened = False
        self._ending = 0.0
        self._finishes = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._poker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.apply(table)
        self._run(self._sample())

    # --- the table

    def apply(self, table: Table) -> None:
        """Go on by another table."""
        self._table = table
        wanted = {(number, name): one for number, it in table.revisions.items() for name, one in it.upstreams.items()}
        for key in [key for key, one in self._health.items() if _place(wanted.get(key)) != _place(one.upstream)]:
            self._health.pop(key).end()
        for key, upstream in wanted.items():
            if key not in self._health:
                self._health[key] = Health(upstream, table.revisions[key[0]].probe, self._changed)
        self._counts = {number: self._counts.get(number) or Counts() for number in table.revisions}
        now = time.monotonic()
        closing = {number for number, one in table.revisions.items() if one.state == "closing"}
        self._closing = {number: self._closing.get(number, now) for number in closing}
        self._told_closed &= closing
        gone = {key for key in self._load if key not in wanted}
        draining = {key for key, one in wanted.items() if one.draining} | gone
        self._draining = {key: self._draining.get(key, now) for key in draining}
        self._woken &= {number for number, one in table.revisions.items() if one.state == "asleep"}
        if (self._closing or self._draining) and not self._finishes:
            self._finishes = True
            self._run(self._finish())
        self._changed()

    def tell(self) -> dict[str, Any]:
        """How everything is."""
        return {
            "service": self._table.service,
            "pid": os.getpid(),
            "waiting": len(self._parked),
            "revisions": {number: self._told(number, one) for number, one in self._table.revisions.items()},
        }

    def _told(self, number: str, revision: Revision) -> dict[str, Any]:
        counts, now = self._counts[number], time.monotonic()
        health = {name: one for (of, name), one in self._health.items() if of == number}
        return {
            "state": self._state(number, revision),
            "weight": revision.weight,
            "ready": {name: one.since for name, one in health.items() if one.since},
            "failures": {name: one.failure for name, one in health.items() if one.failure},
            "in_flight": counts.in_flight,
            "connections": {name: count for (of, name), count in self._load.items() if of == number and count},
            "waiting": 0,
            "seconds": counts.seconds(now),
            "requests": counts.requests,
            "errors": counts.errors,
            "p99": counts.p99(),
        }

    def _state(self, number: str, revision: Revision) -> str:
        if revision.state == "closing" and not self._counts[number].in_flight:
            return "closed"
        if revision.state == "asleep" and number in self._woken:
            return "awake"
        return revision.state

    # --- connections (see `Books`)

    def arrived(self, pair: Pair) -> None:
        """Lead a new connection to a replica, or let it wait for one."""
        self._pairs.add(pair)
        self._lead(pair)

    def answered(self, pair: Pair, seconds: float) -> None:
        """Note how long an answer took to begin."""
        if counts := self._counts.get(pair.revision):
            counts.answered(seconds)

    def left(self, pair: Pair, *, failed: bool) -> None:
        """Keep the books when one has ended."""
        self._pairs.discard(pair)
        self._unpark(pair)
        if pair.replica:
            self._leave(pair, failed=failed)

    def _lead(self, pair: Pair) -> None:
        if pair.over:
            return
        found = self._choose()
        if found is None:
            self._park(pair)
            return
        self._unpark(pair)
        pair.revision, pair.replica = found
        self._load[found] += 1
        self._turns[pair.replica] = len(self._turns) + sum(counts.requests for counts in self._counts.values())
        self._counts[pair.revision].began(time.monotonic())
        if self._table.revisions[pair.revision].state == "asleep" and pair.revision not in self._woken:
            self._woken.add(pair.revision)
            self._poke()
        self._run(self._connect(pair, self._health[found]))

    async def _connect(self, pair: Pair, health: Health) -> None:
        """Connect; where nobody accepts the replica is doubted, and the connection led elsewhere."""
        if await pair.connect(health.upstream.host, health.upstream.port, CONNECT_SECONDS):
            return
        health.doubt()
        if not pair.over:
            self._leave(pair, failed=False)
            self._lead(pair)

    def _leave(self, pair: Pair, *, failed: bool) -> None:
        key = (pair.revision, pair.replica)
        pair.revision = pair.replica = ""
        self._load[key] -= 1
        if not self._load[key]:
            del self._load[key]
        if counts := self._counts.get(key[0]):
            counts.ended(time.monotonic())
            counts.errors += failed
        self._say_closed()

    def _choose(self) -> tuple[str, str] | None:
        ready: dict[str, list[str]] = {}
        for (number, name), one in self._health.items():
            revision = self._table.revisions[number]
            if one.since and not revision.upstreams[name].draining and revision.state != "closing":
                ready.setdefault(number, []).append(name)
        if not ready:
            return None
        number = self._shares.choose({number: self._table.revisions[number].weight for number in ready})
        return number, fewest({name: self._load[number, name] for name in ready[number]}, self._turns)

    def _park(self, pair: Pair) -> None:
        if pair in self._parked:
            return
        loop = asyncio.get_running_loop()
        self._parked[pair] = loop.call_later(self._table.wait_seconds, lambda: pair.end(abort=True))
        if len(self._parked) == 1:
            self._poke()
        if len(self._parked) >= self._table.queue:
            self._door(False)

    def _unpark(self, pair: Pair) -> None:
        timer = self._parked.pop(pair, None)
        if timer:
            timer.cancel()
            if self._opened and not self._ending and len(self._parked) == self._table.queue - 1:
                self._door(True)

    def _changed(self) -> None:
        """Something is ready, or no more: who waits is led anew."""
        self._poke()
        if not self._opened and not self._ending and (self._table.wakes or self._choose() is not None):
            self._opened = True
            self._door(True)
        for pair in list(self._parked):
            if self._choose() is None:
                break
            self._lead(pair)

    # --- ending

    async def end(self) -> None:
        """Accept no more, and return when all connections have finished."""
        self._ending = time.monotonic()
        self._door(False)
        for pair in list(self._parked):
            pair.end(abort=True)
        await self._finish()
        for one in self._health.values():
            one.end()
        for task in self._tasks:
            task.cancel()

    async def _finish(self) -> None:
        """Let connections that have to finish do so, as long as there are such."""
        while pairs := list(self._finishing()):
            now = time.monotonic()
            for pair, since in pairs:
                pair.parting = True
                late = now - since > self._patience(pair.revision)
                if late or (not pair.asked and now - pair.last > _quiet(pair, now - since)):
                    pair.end(abort=late and bool(pair.asked))
            await asyncio.sleep(LOOK_SECONDS)
        self._finishes = False

    def _patience(self, revision: str) -> float:
        """How long connections to a revision may take to finish."""
        found = self._table.revisions.get(revision)
        said = found.drain_seconds if found else None
        return self._table.drain_seconds if said is None else said

    def _finishing(self) -> Iterator[tuple[Pair, float]]:
        for pair in self._pairs:
            since = self._closing.get(pair.revision) or self._draining.get((pair.revision, pair.replica))
            if since or self._ending:
                yield pair, since or self._ending

    def _say_closed(self) -> None:
        for number in self._closing:
            if number not in self._told_closed and not self._counts[number].in_flight:
                self._told_closed.add(number)
                self._poke()

    # --- being heard

    async def _sample(self) -> None:
        """Say each second that there is something to measure."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            if self._table.samples and self._pairs:
                self._poke()

    def _poke(self) -> None:
        if self._table.poke:
            with contextlib.suppress(OSError):
                self._poker.sendto(self._table.service.encode(), self._table.poke)

    def _run(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _quiet(pair: Pair, seconds: float) -> float:
    """How long a connection must have been silent that is to finish since so many seconds.

    One of HTTP is told with its next answer; only what asks nothing for a while is closed.
    """
    if pair.speaks_http:
        return HTTP_QUIET
    return max(QUIET_SECONDS * (1 - seconds / SHRINK_SECONDS), LEAST_QUIET)


def _place(upstream: Upstream | None) -> tuple[str, int] | None:
    return (upstream.host, upstream.port) if upstream else None
