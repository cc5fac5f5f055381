"""Which calls leave together, and what becomes of a batch that fails: decisions only."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple, Protocol

import msgspec

from tiffin_serve.front.batching.loss import Loss
from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.frames import FrameError, Result
from tiffin_serve.protocol.outputs import Output, read_outputs, split


class Waiter(Protocol):
    """Who asked and waits for the answer."""

    @property
    def gone(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def part(self, outputs: list[Output]) -> None:
        """Take a piece of a streamed answer."""
        ...

    def deliver(self, outputs: list[Output]) -> None:
        """Take the model's outputs for this request; of a streamed answer, the end."""
        ...

    def fail(self, error: RequestError) -> None:
        """Take the reason why there are none."""
        ...


class _Nobody:
    """Who waits when nobody does: takes everything and does nothing."""

    gone = True

    def part(self, outputs: list[Output]) -> None:
        """Take it."""

    def deliver(self, outputs: list[Output]) -> None:
        """Take it."""

    def fail(self, error: RequestError) -> None:
        """Take it."""


NOBODY: Waiter = _Nobody()
"""Takes the place of a waiter that has its answer or has gone: what comes later reaches nobody."""


class Job(msgspec.Struct, eq=False):
    """One request on its way to the model; `arrived` and `deadline` are in seconds of one clock, `size` in bytes.

    It is told apart by what it is, not by what it holds, and changes once: when its waiter has the answer or has gone.
    """

    call: Call
    waiter: Waiter
    arrived: float
    deadline: float = inf
    size: int = 0

    def release(self) -> Waiter:
        """Give the waiter, for the last time."""
        waiter, self.waiter = self.waiter, NOBODY
        return waiter


class Batch(NamedTuple):
    """Jobs that go to a worker together; `lost` counts the workers that died over it."""

    jobs: tuple[Job, ...]
    lost: int = 0

    def waited_for(self) -> Batch:
        """Leave out whose waiter has gone."""
        return Batch(tuple([job for job in self.jobs if not job.waiter.gone]), self.lost)


def halves(batch: Batch) -> list[Batch]:
    """Split a failed batch, so that one bad request fails alone; its batch of one is not split: it is the bad one."""
    middle = len(batch.jobs) // 2
    return [Batch(batch.jobs[:middle], batch.lost), Batch(batch.jobs[middle:], batch.lost)] if middle else []


def after_loss(batch: Batch, why: Loss = "crash") -> list[Batch]:
    """Say what to send again when a worker died over a batch: nothing when it was one job's second time.

    After a crash it is the same once more, for the worker may have died of anything; then halves. What took too long or
    too much memory would do so again, so it is halves at once. A batch of n that has one bad job in it costs at most
    2 * log2(n) + 2 batches, as every half but one succeeds.
    """
    if len(batch.jobs) == 1:
        return [] if batch.lost else [Batch(batch.jobs, 1)]
    again = Batch(batch.jobs, batch.lost + 1)
    return halves(again) if batch.lost or why != "crash" else [again]


def hand_out(result: Result, body: memoryview, jobs: Sequence[Job]) -> list[tuple[Job, list[Output]]]:
    """Give each job its rows of the result.

    Raises FrameError where several jobs wait and the outputs do not have one row for each row that went in.
    """
    outputs = read_outputs(result, body)
    if len(jobs) == 1:
        return [(jobs[0], outputs)]
    sizes = [job.call.rows for job in jobs]
    total = sum(sizes)
    for output in outputs:
        if not output.shape or output.shape[0] != total:
            raise FrameError(f"output '{output.name}' has the shape {list(output.shape)} for {total} rows")
    shares = zip(*[split(output, sizes) for output in outputs], strict=True) if outputs else [()] * len(jobs)
    return list(zip(jobs, map(list, shares), strict=True))
