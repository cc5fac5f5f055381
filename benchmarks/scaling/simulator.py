"""A service with a central queue, replayed in small steps; whoever scales it sees what a front measures."""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Protocol

import msgspec

from benchmarks.scaling.traces import SECONDS, Trace
from tiffin.deploy.autoscale import Policy, Sample

STEP = 0.1
"""Seconds of one step."""


class Scaler(Protocol):
    """Whoever says every `tick` seconds how many replicas are wanted."""

    tick: float

    def decide(self, sample: Sample, ready: int) -> int:
        """Take a sample in, and say how many replicas are wanted."""
        ...


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica can do: so many requests at once, each so long; and how long one takes until it is ready."""

    slots: int = 8
    request_seconds: float = 0.4
    start_seconds: float = 2.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How long requests waited, in seconds, and how many replica-seconds were paid."""

    requests: int
    mean_wait: float
    p99_wait: float
    replica_seconds: float


class _Service:
    """Queue and replicas at one moment."""

    def __init__(self, world: World, replicas: int) -> None:
        self._world = world
        self.ready = replicas
        self._starting: list[float] = []
        self._queue: deque[list[float]] = deque()
        self._served: deque[tuple[float, int]] = deque()
        self.waiting = self.busy = self.answered = 0
        self.waits: list[tuple[float, int]] = []

    @property
    def paid(self) -> int:
        """Replicas that cost something: those that start, too."""
        return self.ready + len(self._starting)

    def arrive(self, now: float, count: int) -> None:
        """Let requests in."""
        if count:
            self._queue.append([now, count])
            self.waiting += count

    def work(self, now: float) -> None:
        """Finish what is done, make ready what has started, and begin what there is room for."""
        while self._served and self._served[0][0] <= now:
            count = self._served.popleft()[1]
            self.busy -= count
            self.answered += count
        ready = [due for due in self._starting if due <= now]
        self.ready += len(ready)
        self._starting = [due for due in self._starting if due > now]
        room = min(self.ready * self._world.slots - self.busy, self.waiting)
        if room > 0:
            self._served.append((now + self._world.request_seconds, room))
            self.busy += room
            self.waiting -= room
        while room > 0:
            oldest = self._queue[0]
            taken = min(room, int(oldest[1]))
            self.waits.append((now - oldest[0], taken))
            oldest[1] -= taken
            room -= taken
            if not oldest[1]:
                self._queue.popleft()

    def scale(self, now: float, wanted: int) -> None:
        """Start what lacks; let go what is too much, of those that start first."""
        more = wanted - self.paid
        self._starting += [now + self._world.start_seconds] * max(more, 0)
        for _ in range(-more):
            if self._starting:
                self._starting.pop()
            else:
                self.ready -= 1


def replay(trace: Trace, scaler: Scaler, policy: Policy, world: World = World(), seed: int = 0) -> Outcome:  # noqa: B008 - frozen
    """Replay a trace; the same seed gives every scaler the same requests."""
    dice, service = random.Random(seed), _Service(world, max(policy.least, 1))  # noqa: S311 - a simulation
    in_it = paid = 0.0
    per_tick = round(scaler.tick / STEP)
    for number in range(round(SECONDS / STEP)):
        now = number * STEP
        service.arrive(now, _arrivals(dice, trace(now) * STEP))
        service.work(now)
        in_it += service.waiting + service.busy
        paid += service.paid * STEP
        if number % per_tick == per_tick - 1:
            rate, service.answered = service.answered / scaler.tick, 0
            sample = Sample(
                time=now, seconds=scaler.tick, concurrency=in_it / per_tick, waiting=service.waiting, rate=rate
            )
            service.scale(now, scaler.decide(sample, service.ready))
            in_it = 0.0
    return _outcome(service.waits, paid)


def _arrivals(dice: random.Random, expected: float) -> int:
    """Draw from Poisson's distribution (Knuth's way: a step expects few)."""
    bound, count, product = math.exp(-expected), 0, dice.random()
    while product > bound:
        count += 1
        product *= dice.random()
    return count


def _outcome(waits: list[tuple[float, int]], paid: float) -> Outcome:
    total = sum(count for _, count in waits)
    seen, p99 = 0, 0.0
    for wait, count in sorted(waits):
        seen += count
        p99 = wait
        if seen >= 0.99 * total:
            break
    mean = sum(wait * count for wait, count in waits) / max(total, 1)
    return Outcome(requests=total, mean_wait=mean, p99_wait=p99, replica_seconds=paid)
