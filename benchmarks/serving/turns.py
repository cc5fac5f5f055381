"""A turn: a server is started with a model, asked everything that is asked of that model, and ended."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter, sleep

from benchmarks.ports import free_port
from benchmarks.results import Results
from tiffin.traffic.address import Question
from tiffin.traffic.schedule import Load

from . import words
from .asking import OPEN_CONNECTIONS, TIME_OUT, WARM_SECONDS, Figures, ask, idle_share, wrk
from .cases import FILES, LR, Case
from .ending import lost_at_end
from .peer import Job, Peer
from .peers import tiffin
from .processes import pss_bytes
from .running import Running, forget, post, running
from .samples import Samples, equal

KNOWN_WORDINGS = 1024
ANSWERS_EACH, LONGEST_SECONDS = 2, 5.0
OVER = 100
"""From so many percent of the capacity on, it is measured before and after: a machine is never the same for long."""
SPARE_PORTS = 3
SETTLE_SECONDS = 2.0
"""What a server does once after its last answer, as tidying up, is not what it does when it is idle."""


@dataclass(frozen=True)
class Length:
    """How long everything lasts, in seconds, and what is asked."""

    load: float = 5.0
    idle: float = 5.0
    connections: Sequence[int] = words.CONNECTIONS
    shares: Sequence[int] = words.SHARES
    """Of the capacity, in open loops of one row of the first model."""


@dataclass(frozen=True)
class Kitchen:
    """What all turns share: where artefacts are and environments, and what is right."""

    artefacts: Path
    scratch: Path
    samples: Samples
    results: Results
    length: Length
    programs: Callable[[Peer], Path]


def long_enough(seconds: float, connections: int, alone: float) -> float:
    """Stretch a load until each connection is answered a few times by a server that answers one at a time."""
    return max(seconds, min(ANSWERS_EACH * connections * alone, LONGEST_SECONDS))


def right(expected: list[float], read: Callable[[bytes], list[float]]) -> Callable[[bytes], bool]:
    """Make a judge of answers, who reads each wording once."""
    known: dict[bytes, bool] = {}

    def judge(body: bytes) -> bool:
        verdict = known.get(body)
        if verdict is None:
            verdict = _reads(body, expected, read)
            if len(known) < KNOWN_WORDINGS:
                known[body] = verdict
        return verdict

    return judge


def _reads(body: bytes, expected: list[float], read: Callable[[bytes], list[float]]) -> bool:
    try:
        return equal(read(body), expected)
    except (ValueError, KeyError, TypeError, IndexError):
        return False


class Turn:
    """One server with one model, from its start to its end."""

    def __init__(self, kitchen: Kitchen, peer: Peer, model: str) -> None:
        self._kitchen, self._peer, self._model = kitchen, peer, model
        self._cases = [case for case in peer.cases if case.model == model]
        self._results = kitchen.results

    def play(self) -> None:
        """Measure everything; raises AssertionError where it is not answered right."""
        folder = Path(mkdtemp(prefix="turn-", dir=self._kitchen.scratch))
        job = Job(
            model=self._model,
            file=self._kitchen.artefacts / FILES[self._model] if FILES[self._model] else Path(),
            folder=folder,
            programs=self._kitchen.programs(self._peer),
            port=free_port(),
            spare=[free_port() for _ in range(SPARE_PORTS)],
        )
        first = self._cases[0]
        question, judge = self._question(first), self._judge(first)
        with running(job, self._peer.launch(job), question, judge, gently=self._model == LR) as server:
            self._keep(words.of_model(words.FIRST, self._model), server.first)
            for case in self._cases:
                self._closed_loops(server, case)
            self._open_loops(server, first)
            self._weigh(server)
            if self._model == LR:
                self._idle(server)
                counted = lost_at_end(server, question, judge)
                self._keep(words.LOST, counted.lost)
                self._keep(words.ASKED, counted.asked)
        forget(folder)

    def _idle(self, server: Running) -> None:
        """Wait and see what it does; of whom nothing was promised, once."""
        what = words.of_model(words.IDLE, LR)
        if self._peer.name == tiffin.NAME or not self._results.has(what, self._peer.who):
            sleep(SETTLE_SECONDS)
            self._keep(what, idle_share(server, self._kitchen.length.idle))

    def _closed_loops(self, server: Running, case: Case) -> None:
        question, judge, length = self._question(case), self._judge(case), self._kitchen.length
        for connections in length.connections:
            began = perf_counter()
            assert judge(post(server.address, question)), f"{case.name} is answered wrong"
            seconds = long_enough(length.load, connections, perf_counter() - began)
            if self._peer.fast and shutil.which("wrk"):
                figures = wrk(server, question, connections, max(1.0, seconds))
            else:
                load = Load(seconds=seconds, warm_up=WARM_SECONDS, connections=connections, time_out=TIME_OUT)
                figures = ask(server, question, load, judge)
            assert judge(post(server.address, question)), f"{case.name} is answered wrong after a load"
            self._figures(case, words.closed(connections), figures)

    def _open_loops(self, server: Running, case: Case) -> None:
        """Find the capacity with the same asking side as the open loops have, then ask at parts of it."""
        length = self._kitchen.length
        if self._model != LR or not length.shares:
            return
        capacity = self._capacity(server, case)
        for share in sorted(length.shares, reverse=True):  # what is judged by the capacity comes next to it
            load = Load(
                seconds=length.load,
                warm_up=WARM_SECONDS,
                connections=OPEN_CONNECTIONS,
                rate=capacity * share / 100,
                time_out=TIME_OUT,
            )
            figures = ask(server, self._question(case), load, self._judge(case))
            self._figures(case, words.opened(share), figures)
            there = (capacity + self._capacity(server, case)) / 2 if share > OVER else capacity
            self._keep(words.sample(case, words.opened(share), words.GOODPUT), figures.rate / there)

    def _capacity(self, server: Running, case: Case) -> float:
        length = self._kitchen.length
        load = Load(seconds=length.load, warm_up=WARM_SECONDS, connections=max(length.connections), time_out=TIME_OUT)
        figures = ask(server, self._question(case), load, self._judge(case))
        self._figures(case, words.CAPACITY, figures)
        return figures.rate

    def _weigh(self, server: Running) -> None:
        sizes = pss_bytes(server.process.pid)
        self._keep(words.of_model(words.PSS, self._model), sum(sizes.values()))
        self._keep(words.of_model(words.FRONT_PSS, self._model), sizes[server.process.pid])

    def _figures(self, case: Case, load: str, figures: Figures) -> None:
        for what, value in (
            (words.CPU, figures.cpu),
            (words.FRONT, figures.front),
            (words.REST, figures.rest),
            (words.RATE, figures.rate),
            (words.P50, figures.p50),
            (words.P99, figures.p99),
            (words.REFUSED, figures.lost),
        ):
            self._keep(words.sample(case, load, what), value)

    def _question(self, case: Case) -> Question:
        return self._peer.ask(case, self._kitchen.samples)

    def _judge(self, case: Case) -> Callable[[bytes], bool]:
        return right(self._kitchen.samples.answer(case), self._peer.read)

    def _keep(self, what: str, value: float) -> None:
        self._results.add(what, self._peer.who, value)
