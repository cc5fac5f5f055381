"""Which calls leave together, and what becomes of a batch that fails: decisions only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple, Protocol

from tiffin_serve.protocol.call import Call, CallKind
from tiffin_serve.protocol.datatypes import DATATYPES
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.frames import FrameError, Result, ResultTensor, result_bodies
from tiffin_serve.protocol.infer import InferOutput
from tiffin_serve.protocol.tensors import texts, unpack


class Waiter(Protocol):
    """Who asked and waits for the answer."""

    @property
    def gone(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def deliver(self, outputs: list[InferOutput]) -> None:
        """Take the model's outputs for this request."""
        ...

    def fail(self, error: RequestError) -> None:
        """Take the reason why there are none."""
        ...


class Job(NamedTuple):
    """One request on its way to the model; `arrived` is in seconds of the loop's clock."""

    call: Call
    waiter: Waiter
    arrived: float


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

    def overdue(self, before: float) -> Iterator[Job]:
        """Remove every job that arrived before this time."""
        for kind, jobs in list(self._kinds.items()):
            while jobs and jobs[0].arrived < before:
                self._size -= 1
                yield jobs.popleft()
            if not jobs:
                del self._kinds[kind]


def halves(batch: Batch) -> list[Batch]:
    """Split a failed batch, so that one bad request fails alone; its batch of one is not split: it is the bad one."""
    middle = len(batch.jobs) // 2
    return [Batch(batch.jobs[:middle], batch.lost), Batch(batch.jobs[middle:], batch.lost)] if middle else []


def after_loss(batch: Batch) -> list[Batch]:
    """Say what to send again when a worker died: the same once more, then halves, then nothing."""
    return halves(batch) if batch.lost else [Batch(batch.jobs, batch.lost + 1)]


def hand_out(result: Result, body: memoryview, jobs: Sequence[Job]) -> list[tuple[Job, list[InferOutput]]]:
    """Give each job its rows of the result.

    Raises FrameError where several jobs wait and the outputs do not have one row for each row that went in.
    """
    outputs = [_read(tensor, data) for tensor, data in zip(result.outputs, result_bodies(result, body), strict=True)]
    if len(jobs) == 1:
        return [(jobs[0], outputs)]
    total, shares, start = sum([job.call.rows for job in jobs]), [], 0
    for output in outputs:
        if not output.shape or output.shape[0] != total:
            raise FrameError(f"output '{output.name}' has the shape {list(output.shape)} for {total} rows")
    for job in jobs:
        end = start + job.call.rows
        shares.append((job, [_rows(output, start, end) for output in outputs]))
        start = end
    return shares


def _read(tensor: ResultTensor, data: memoryview) -> InferOutput:
    try:
        datatype = DATATYPES[tensor.datatype]
        values, encoded = unpack(data, datatype), False
    except (KeyError, ValueError, TypeError) as error:
        raise FrameError(f"output '{tensor.name}' cannot be read: {error}") from error
    if len(values) != prod(tensor.shape):
        raise FrameError(f"output '{tensor.name}' has {len(values)} values for the shape {list(tensor.shape)}")
    if datatype.name == "BYTES":
        values, encoded = texts(values)
    parameters = {"content_type": "base64"} if encoded else None
    return InferOutput(tensor.name, tensor.datatype, tensor.shape, values, parameters)


def _rows(output: InferOutput, start: int, end: int) -> InferOutput:
    width = len(output.data) // output.shape[0]
    shape = (end - start, *output.shape[1:])
    return InferOutput(output.name, output.datatype, shape, output.data[start * width : end * width], output.parameters)
