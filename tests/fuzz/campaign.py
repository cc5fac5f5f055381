"""Many trains over a few dozen connections, and what is found out about the one that went wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import uvloop

from fuzz.cases import Case, Request, chance, make, told, train
from fuzz.client import Line
from fuzz.subjects import Valid

CONNECTIONS = 36
PATIENCE = 60.0
"""A train that is not answered after so many seconds hangs."""


class Place(NamedTuple):
    """Who is asked, and for what."""

    port: int
    valid: list[Valid]
    seed: int


class FindingError(Exception):
    """A train was answered wrongly."""


class Campaign:
    """Sends trains until a number of requests is reached; the first that goes wrong ends it."""

    def __init__(self, place: Place, numbers: Iterator[int], requests: int, *, wild: bool = True) -> None:
        self.sent = 0
        self.latencies: list[float] = []
        self._place = place
        self._numbers = numbers
        self._requests = requests
        self._wild = wild
        self._running: set[Line] = set()
        self._found: tuple[list[Case], str] | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Send everything; raises FindingError with what is needed to see it again."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await self._begin()
        bystander = loop.create_task(self._stand_by())
        while not self._ended.is_set():
            try:
                await asyncio.wait_for(self._ended.wait(), 1)
            except TimeoutError:
                self._look_for_hangs(loop.time())
        await bystander
        for line in list(self._running):  # a finding ends the others wherever they are
            line.leave()
        if self._found is not None:
            raise FindingError(await explain(self._place, *self._found))

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: Line(self._on_done), "127.0.0.1", self._place.port)
        self._running.add(line)
        self._next(line)

    def _next(self, line: Line) -> None:
        if self.sent >= self._requests or self._found:
            self._retire(line)
            return
        number = next(self._numbers)
        cases = train(self._place.seed, number, len(self._place.valid), wild=self._wild)
        requests = [make(case, self._place.valid) for case in cases]
        self.sent += len(requests)
        line.since = asyncio.get_running_loop().time()
        line.send(requests, cuts(number, requests))

    def _on_done(self, line: Line, problem: str | None) -> None:
        if problem is not None and self._found is None:
            self._found = [request.case for request in line.train], problem
        if line.open:
            self._next(line)
        else:
            self._running.discard(line)
            if self.sent < self._requests and not self._found:
                line.task = asyncio.get_running_loop().create_task(self._begin())
                return
            self._check_end()

    def _retire(self, line: Line) -> None:
        self._running.discard(line)
        line.leave()
        self._check_end()

    def _check_end(self) -> None:
        if not self._running or self._found:
            self._ended.set()

    def _look_for_hangs(self, now: float) -> None:
        for line in self._running:
            if now - line.since > PATIENCE:
                self._found = [request.case for request in line.train], "there is no answer"
                self._ended.set()

    async def _stand_by(self) -> None:
        """Ask valid questions one by one, as somebody who has nothing to do with all this."""
        asked = asyncio.Event()
        problems: list[str | None] = []
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(
            lambda: Line(lambda _, problem: (problems.append(problem), asked.set())[0]), "127.0.0.1", self._place.port
        )
        number = 0
        while not self._ended.is_set() and line.open:
            number += 1
            request = make(Case(b"bystander-%d" % number, 0, number), self._place.valid)
            began = time.perf_counter()
            asked.clear()
            line.send([request])
            await asyncio.wait_for(asked.wait(), PATIENCE)
            self.latencies.append(time.perf_counter() - began)
            if problems[-1] is not None:
                self._found = [request.case], f"somebody else: {problems[-1]}"
                self._ended.set()
        line.leave()


def cuts(number: int, requests: Sequence[Request]) -> list[int]:
    """Say where every fourth train is cut into two writes."""
    size = sum([len(request.data) for request in requests])
    return [chance(number).randrange(size)] if number % 4 == 0 and size else []


async def explain(place: Place, cases: list[Case], problem: str) -> str:
    """Send a train again with less and less, and tell the least that still goes wrong."""
    again = await _ask(place, cases)
    if again is None:
        listed = "\n".join(told(case) for case in cases)
        return f"{problem}\nseed {place.seed}; not when it is sent again alone:\n{listed}"
    shrinking = True
    while shrinking:
        shrinking = False
        for fewer in _smaller(cases):
            found = await _ask(place, fewer)
            if found is not None:
                cases, problem, shrinking = fewer, found, True
                break
    listed = "\n".join(f"{told(case)}\n    {make(case, place.valid).data[:4000]!r}" for case in cases)
    return f"{problem}\nseed {place.seed}; the least that still does it:\n{listed}"


def _smaller(cases: list[Case]) -> Iterable[list[Case]]:
    for position, case in enumerate(cases):
        rest = [*cases[:position], *cases[position + 1 :]]
        if rest:
            yield rest
        for number in range(len(case.mutations)):
            fewer = case._replace(mutations=case.mutations[:number] + case.mutations[number + 1 :])
            yield [*cases[:position], fewer, *cases[position + 1 :]]
        if case.breaking and position == len(cases) - 1:
            yield [*cases[:position], case._replace(breaking=None)]


async def _ask(place: Place, cases: list[Case]) -> str | None:
    """Send one train over a connection of its own; returns what is wrong with its answers."""
    done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    _, line = await asyncio.get_running_loop().create_connection(
        lambda: Line(lambda _, problem: None if done.done() else done.set_result(problem)), "127.0.0.1", place.port
    )
    line.send([make(case, place.valid) for case in cases])
    try:
        return await asyncio.wait_for(done, PATIENCE)
    except TimeoutError:
        return "there is no answer"
    finally:
        line.leave()


def run(campaign: Campaign) -> None:
    """Run a campaign on a loop of its own."""
    uvloop.run(campaign.run())


def resident(pids: Iterable[int]) -> int:
    """Give the resident memory of processes in KiB."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4 for pid in pids)
