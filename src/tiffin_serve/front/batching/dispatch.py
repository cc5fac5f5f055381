"""The central queue: what waits leaves as one batch as soon as a worker is free."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from tiffin_serve.front.batching.batches import Batch, Job, Queue, Waiter, after_loss, halves, hand_out
from tiffin_serve.front.batching.loss import Loss, verdict
from tiffin_serve.front.log import report
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.frames import Failure, FrameError, Part, Result, encode_batch
from tiffin_serve.protocol.outputs import read_outputs
from tiffin_serve.protocol.service import Serving


class Line(Protocol):
    """The way to one worker."""

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        ...

    def kill(self, reason: Loss) -> None:
        """End this worker whatever it is doing; `leave` follows, with the reason."""
        ...


class Dispatcher:
    """Sends batches to free workers and hands their results out."""

    def __init__(self, loop: asyncio.AbstractEventLoop, serving: Serving, metrics: Metrics) -> None:
        self._loop = loop
        self._serving = serving
        self._metrics = metrics
        self._queue = Queue()
        self._again: deque[Batch] = deque()
        self._free: deque[Line] = deque()
        self._out: dict[Line, tuple[int, Batch]] = {}
        self._scheduled = False
        self._number = 0

    @property
    def queued(self) -> int:
        """Count the calls that wait for a worker."""
        return len(self._queue) + sum(len(batch.jobs) for batch in self._again)

    def submit(self, call: Call, waiter: Waiter, seconds: float | None = None) -> None:
        """Queue a call whose client waits so many seconds; raises RequestError when too many wait already.

        It leaves at the end of this turn of the loop, so that what arrived in the same turn leaves with it.
        """
        if len(self._queue) >= self._serving.queue:
            self._metrics.rejected("queue")
            raise RequestError("too many requests wait already", 503)
        now = self._loop.time()
        patience = self._serving.deadline_ms / 1000 if seconds is None else seconds
        self._queue.put(Job(call, waiter, now, now + patience))
        if self._free and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._pump)

    def join(self, line: Line) -> None:
        """Take a worker that is ready."""
        self._free.append(line)
        self._pump()

    def leave(self, line: Line, why: Loss = "crash", detail: str = "") -> None:
        """Forget a worker; the batch it had is sent once more, then in halves; `detail` names the limit it met.

        What took too long is not sent once more as it was, for it would take as long again.
        """
        if line in self._free:
            self._free.remove(line)
        _, batch = self._out.pop(line, (0, None))
        if batch is None:
            return
        again = halves(batch) if why == "deadline" else after_loss(batch)
        if not again:
            _fail(batch.jobs[0], verdict(why, detail))
        self._again.extendleft(reversed(again))
        self._pump()

    def finished(self, line: Line, result: Result, body: memoryview) -> None:
        """Hand out a result, after the next batch has left; raises FrameError on a result that nobody asked for."""
        batch = self._take_back(line, result.id)
        self._metrics.predicted(len(batch.jobs), sum([job.call.rows for job in batch.jobs]), result.seconds)
        self._free.append(line)
        self._pump()
        try:
            shares = hand_out(result, body, batch.jobs)
        except FrameError as error:
            self._give_up(batch, RequestError(f"the model's answer cannot be used: {error}", 500))
            return
        for job, outputs in shares:
            try:
                job.waiter.deliver(outputs)
            except Exception as error:  # noqa: BLE001 - one answer that cannot be written must not harm the others
                report("an answer could not be written", error=repr(error))
                _fail(job, RequestError("internal error", 500))

    def part(self, line: Line, part: Part, body: memoryview) -> None:
        """Hand out a piece of a streamed answer; raises FrameError on one that nobody asked for."""
        number, batch = self._out.get(line, (None, None))
        if number != part.id or batch is None or not batch.jobs[0].call.kind.stream:
            raise FrameError(f"a worker streams batch {part.id}, which it does not have")
        batch.jobs[0].waiter.part(read_outputs(part, body))

    def failed(self, line: Line, failure: Failure) -> None:
        """Tell the client that its request failed, or find out which request of the batch it was."""
        batch = self._take_back(line, failure.id)
        self._free.append(line)
        if len(batch.jobs) == 1 and not failure.refused:
            report("the model failed", error=failure.message, traceback=failure.traceback)
        whose = "the model refused the input" if failure.refused else "the model failed"
        self._give_up(batch, RequestError(f"{whose}: {failure.message}", 400 if failure.refused else 500))

    def expire(self) -> None:
        """Refuse what has waited too long for a worker; call it about once a second."""
        now = self._loop.time()
        late = list(self._queue.overdue(now))
        again, self._again = self._again, deque()
        for batch in again:
            late += [job for job in batch.jobs if job.deadline <= now]
            on_time = tuple([job for job in batch.jobs if job.deadline > now])
            if on_time:
                self._again.append(Batch(on_time, batch.lost))
        for job in late:
            self._metrics.rejected("deadline")
            _fail(job, RequestError(f"no worker was free for {job.deadline - job.arrived:g} seconds", 503))

    def _give_up(self, batch: Batch, error: RequestError) -> None:
        parts = halves(batch)
        if not parts:
            _fail(batch.jobs[0], error)
        self._again.extendleft(reversed(parts))
        self._pump()

    def _take_back(self, line: Line, id_: int) -> Batch:
        number, batch = self._out.get(line, (None, None))
        if number != id_ or batch is None:
            raise FrameError(f"a worker answered batch {id_}, which it does not have")
        del self._out[line]
        return batch

    def _pump(self) -> None:
        self._scheduled = False
        while self._free and (self._again or self._queue):
            batch = self._again.popleft() if self._again else self._queue.take(self._serving.max_batch)
            jobs = tuple([job for job in batch.jobs if not job.waiter.gone])
            if jobs:
                self._send(self._free.popleft(), Batch(jobs, batch.lost))

    def _send(self, line: Line, batch: Batch) -> None:
        self._number += 1
        self._out[line] = (self._number, batch)
        now = self._loop.time()
        for job in batch.jobs:
            self._metrics.queued(now - job.arrived)
        line.send(encode_batch(self._number, [job.call for job in batch.jobs]))


def _fail(job: Job, error: RequestError) -> None:
    try:
        job.waiter.fail(error)
    except Exception as problem:  # noqa: BLE001 - see `finished`
        report("an error could not be written", error=repr(problem))
