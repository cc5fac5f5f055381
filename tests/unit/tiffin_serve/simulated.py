"""A dispatcher in simulated time: its clock, workers that cost `fixed + each * rows`, clients that come at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

import msgspec

from tiffin_serve.front.batching.batches import Job
from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.batching.loss import Loss
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.protocol.call import Call, CallKind, TensorKind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.frames import Failure, FrameReader, Result, ResultTensor
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.service import Serving

KIND = CallKind((TensorKind("x", "FP64", (1,)),))


class Clock:
    """A loop in which nothing takes time but waiting."""

    def __init__(self) -> None:
        self.moment = 1000.0
        self.turn: float | None = None
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._tickets = 0

    def now(self) -> float:
        return self.moment

    def time(self) -> float:
        return self.moment if self.turn is None else self.turn

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> None:
        self.call_later(0, callback, *arguments)

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> None:
        self._tickets += 1
        heappush(self._events, (self.moment + delay, self._tickets, callback, arguments))

    def run(self, seconds: float = 0.0) -> None:
        """Let so much time pass, and everything happen that is due by then."""
        end = self.moment + seconds
        while self._events and self._events[0][0] <= end:
            self.moment, _, callback, arguments = heappop(self._events)
            callback(*arguments)
        self.moment = end


class Waiter:
    """Remembers what it was told, and when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.began = clock.moment
        self.gone = False
        self.parts: list[list[Output]] = []
        self.outputs: list[Output] | None = None
        self.error: RequestError | None = None
        self.ended = 0.0
        self.job: Job | None = None

    def part(self, outputs: list[Output]) -> None:
        self.parts.append(outputs)

    def deliver(self, outputs: list[Output]) -> None:
        self._end()
        self.outputs = outputs

    def fail(self, error: RequestError) -> None:
        self._end()
        self.error = error

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def status(self) -> int:
        """Give the HTTP status of the answer, 0 as long as there is none."""
        return self.error.status if self.error else 200 if self.outputs is not None else 0

    def _end(self) -> None:
        assert not self.ended, "told twice"
        self.gone = True
        self.ended = self._clock.moment


class Worker:
    """Keeps what it is sent; answers by itself where it has a cost, hanging on the poison."""

    def __init__(self, clock: Clock, dispatcher: Dispatcher, cost: Callable[[int], float] | None = None) -> None:
        self._clock = clock
        self._dispatcher = dispatcher
        self._cost = cost
        self._reader = FrameReader()
        self.frames: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.killed: list[Loss] = []
        self.held = False
        self.heard_late = False
        self.ready = 0.0
        self.busy = 0.0

    def send(self, frame: bytes) -> None:
        for head, body in self._reader.feed(frame):
            self.frames.append(msgspec.json.decode(head))
            self.bodies.append(bytes(body))
        if self._cost is not None:
            seconds = self._cost(self.rows)
            self.busy += seconds
            if self.heard_late:
                self.ready = self._clock.moment + seconds
            else:
                self._clock.call_later(seconds, self.answer)

    def look(self) -> None:
        if self.ready and self.ready <= self._clock.moment:
            self.ready = 0.0
            self.answer()

    def hold(self, *, on: bool) -> None:
        self.held = on

    def kill(self, reason: Loss) -> None:
        self.killed.append(reason)
        self._dispatcher.leave(self, reason)

    @property
    def rows(self) -> int:
        return int(self.frames[-1]["inputs"][0]["shape"][0])

    @property
    def id(self) -> int:
        return int(self.frames[-1]["id"])

    def answer(self) -> None:
        """Answer what it has with its input."""
        body = memoryview(self.bodies[-1])
        tensor = ResultTensor("y", "FP64", (self.rows, 1), len(body))
        self._dispatcher.finished(self, Result(id=self.id, outputs=(tensor,)), body)

    def refuse(self, message: str = "no") -> None:
        self._dispatcher.failed(self, Failure(id=self.id, message=message, refused=True))


class Spends(NamedTuple):
    """Seconds of the front for a request that is answered, and for one that is refused before it is read."""

    answer: float
    refusal: float


class Scene:
    """A dispatcher with simulated workers."""

    def __init__(self, workers: int = 1, cost: Callable[[int], float] | None = None, **serving: Any) -> None:
        self.clock = Clock()
        self.metrics = Metrics("m")
        self.dispatcher = Dispatcher(self.clock, Serving(**serving), self.metrics, self.clock.now)
        self.workers = [Worker(self.clock, self.dispatcher, cost) for _ in range(workers)]
        for worker in self.workers:
            self.dispatcher.join(worker)

    @property
    def worker(self) -> Worker:
        return self.workers[0]

    def ask(
        self, rows: int = 1, seconds: float | None = None, kind: CallKind = KIND, value: bytes = bytes(8)
    ) -> Waiter:
        """Submit a call; a refusal is told to the waiter, as the routes do."""
        waiter = Waiter(self.clock)
        try:
            waiter.job = self.dispatcher.submit(Call(kind, rows, (value * rows,)), waiter, seconds)
        except RequestError as error:
            waiter.fail(error)
        return waiter

    def open_loop(self, rate: float, seconds: float, seed: int, patience: Callable[[], float | None]) -> list[Waiter]:
        """Let clients come at random (Poisson) for so long, and give them all when each has been answered."""
        chance, waiters = random.Random(seed), []  # noqa: S311 - repeatable chance is what a simulation wants
        end = self.clock.moment + seconds
        while self.clock.moment < end:
            self.clock.run(chance.expovariate(rate))
            waiters.append(self.ask(seconds=patience()))
        self.clock.run(60)
        return waiters

    def busy_front(self, rate: float, seconds: float, seed: int, spends: Spends) -> list[Waiter]:
        """Let clients come at random to a front that takes time for each: what comes meanwhile waits for its next turn.

        A worker is heard when a turn begins, or when the dispatcher looks.
        """
        chance, clock, waiters = random.Random(seed), self.clock, []  # noqa: S311 - as above
        for worker in self.workers:
            worker.heard_late = True
        end, coming = clock.moment + seconds, clock.moment + chance.expovariate(rate)
        while clock.moment < end:
            clock.turn, ready = clock.moment, []
            for worker in self.workers:
                worker.look()
            while coming <= clock.moment:
                ready.append(coming)
                coming += chance.expovariate(rate)
            waiters += [self._served(began, spends) for began in ready]
            clock.run(max(0.0, self._next(coming) - clock.moment))
        return waiters

    def _next(self, coming: float) -> float:
        """Say when something comes: a client, or an answer of a worker."""
        return min([coming, *[worker.ready for worker in self.workers if worker.ready]])

    def _served(self, began: float, spends: Spends) -> Waiter:
        """Spend the time on one request, as the routes do: what is refused before it is read costs less."""
        waiter, dispatcher = Waiter(self.clock), self.dispatcher
        waiter.began = began
        try:
            if dispatcher.shut is not None:
                dispatcher.turn_away()
        except RequestError as error:
            self.clock.moment += spends.refusal
            waiter.fail(error)
            return waiter
        self.clock.moment += spends.answer
        try:
            dispatcher.submit(Call(KIND, 1, (bytes(8),)), waiter)
        except RequestError as error:
            waiter.fail(error)
        return waiter

    def closed_loop(self, clients: int, seconds: float, think: float) -> list[Waiter]:
        """Let clients ask again so long after each answer."""
        waiters: list[Waiter] = []
        end = self.clock.moment + seconds

        def again(waiter: Waiter) -> None:
            if waiter.ended and self.clock.moment < end:
                self.clock.call_later(think, begin)
            elif not waiter.ended:
                self.clock.call_later(think / 4, again, waiter)

        def begin() -> None:
            waiters.append(self.ask())
            again(waiters[-1])

        chance = random.Random(clients)  # noqa: S311 - as above
        for _ in range(clients):
            self.clock.call_later(chance.random() * think * clients, begin)
        self.clock.run(seconds + 60)
        return waiters


def percentile(values: list[float], share: float) -> float:
    """Give the smallest value that so many are not above."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def chances(seed: int, *choices: float | None) -> Iterator[float | None]:
    """Choose again and again."""
    chance = random.Random(seed)  # noqa: S311 - see above
    while True:
        yield chance.choice(choices)
