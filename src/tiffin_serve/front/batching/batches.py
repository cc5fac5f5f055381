"""Which calls leave together, and what becomes of a batch that fails: decisions only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple, Protocol

from tiffin_serve.protocol.call import Call, CallKind
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


class Job(NamedTuple):
    """One request on its way to the model; `arrived` and `deadline` are in seconds.

    The clock is `time.monotonic`: that of uvloop's loop counts milliseconds.
    """

    call: Call
    waiter: Waiter
    arrived: float
    deadline: float = inf


class Batch(NamedTuple):
    """Jobs that go to a worker together; `lost` counts the workers that died over it."""

    jobs: tuple[Job, ...]
    lost: int = 0


class Queue:
    """Waiting jobs by kind of call; the kind whose oldest job came first leaves first."""

    def __init__(self) -> None:
        self._kinds: dict[CallKind, deque[Job]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, job: Job) -> None:
        """Append a job."""
        jobs = self._kinds.get(job.call.kind)
        if jobs is None:
            self._kinds[job.call.kind] = jobs = deque()
        jobs.append(job)
        self._size += 1

    def take(self, max_rows: int) -> Batch:
        """Remove the next batch: the oldest job and those of its kind that fit beside it; the queue is not empty."""
        kind = next(iter(self._kinds))
        if len(self._kinds) > 1:
            kind = min(self._kinds, key=lambda kind: self._kinds[kind][0].arrived)
        jobs = self._kinds[kind]
        taken = [jobs.popleft()]
        rows = max_rows if kind.alone else taken[0].call.rows
        while jobs and rows + jobs[0].call.rows <= max_rows:
            rows += jobs[0].call.rows
            taken.append(jobs.popleft())
        if not jobs:
            del self._kinds[kind]
        self._size -= len(taken)
        return Batch(tuple(taken))

    def overdue(self, now: float) -> Iterator[Job]:
        """Remove every job whose deadline has passed."""
        for kind, jobs in list(self._kinds.items()):
            late = [job for job in jobs if job.deadline <= now]
            if late:
                self._size -= len(late)
                self._kinds[kind] = deque([job for job in jobs if job.deadline > now])
                yield from late
            if not self._kinds[kind]:
                del self._kinds[kind]


def halves(batch: Batch) -> list[Batch]:
    """Split a failed batch, so that one bad request fails alone; its batch of one is not split: it is the bad one."""
    middle = len(batch.jobs) // 2
    return [Batch(batch.jobs[:middle], batch.lost), Batch(batch.jobs[middle:], batch.lost)] if middle else []


def after_loss(batch: Batch) -> list[Batch]:
    """Say what to send again when a worker died: the same once more, then halves, then nothing."""
    return halves(batch) if batch.lost else [Batch(batch.jobs, batch.lost + 1)]


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
    return [(job, list(share)) for job, share in zip(jobs, shares, strict=True)]
