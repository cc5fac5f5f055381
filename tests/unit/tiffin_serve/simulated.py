"""A dispatcher in simulated time: its clock, workers that cost `fixed + each * rows`, clients that come at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any

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
        self.time = 1000.0
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._tickets = 0

    def now(self) -> float:
        return self.time

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> None:
        self.call_later(0, callback, *arguments)

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> None:
        self._tickets += 1
        heappush(self._events, (self.time + delay, self._tickets, callback, arguments))

    def run(self, seconds: float = 0.0) -> None:
        """Let so much time pass, and everything happen that is due by then."""
        end = self.time + seconds
        while self._events and self._events[0][0] <= end:
            self.time, _, callback, arguments = heappop(self._events)
            callback(*arguments)
        self.time = end


class Waiter:
    """Remembers what it was told, and when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.began = clock.time
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
        self.ended = self._clock.time


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
        self.busy = 0.0

    def send(self, frame: bytes) -> None:
        for head, body in self._reader.feed(frame):
            self.frames.append(msgspec.json.decode(head))
            self.bodies.append(bytes(body))
        if self._cost is not None:
            seconds = self._cost(self.rows)
            self.busy += seconds
            self._clock.call_later(seconds, self.answer)

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
        end = self.clock.time + seconds
        while self.clock.time < end:
            self.clock.run(chance.expovariate(rate))
            waiters.append(self.ask(seconds=patience()))
        self.clock.run(60)
        return waiters

    def closed_loop(self, clients: int, seconds: float, think: float) -> list[Waiter]:
        """Let clients ask again so long after each answer."""
        waiters: list[Waiter] = []
        end = self.clock.time + seconds

        def again(waiter: Waiter) -> None:
            if waiter.ended and self.clock.time < end:
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
