"""The central queue: what waits leaves as one batch as soon as a worker is free (docs/adr/0029-batching.md)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from math import inf

from tiffin_serve.front.batching.batches import NOBODY, Batch, Job, Waiter, after_loss, halves, hand_out
from tiffin_serve.front.batching.decide import LIKELY, SAFETY, TICK, pays_to_wait, retry_after, seconds_to_live
from tiffin_serve.front.batching.errands import Clock, Errand, Line
from tiffin_serve.front.batching.loss import Loss, verdict
from tiffin_serve.front.batching.queue import Lane, Queue
from tiffin_serve.front.log import report
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.frames import Failure, FrameError, Part, Result, encode_cancel
from tiffin_serve.protocol.outputs import read_outputs
from tiffin_serve.protocol.service import Serving

WAITING_BODIES = 4
"""How many requests of the largest size may wait; of smaller ones as many as have the same bytes."""
SHORT = 4
"""A patience of so many full batches is long where less than one waits: there is nothing to work out."""
LOOK_SECONDS = 0.0005
"""How long after a look at the workers that found nothing the next is due."""
ALARM_SECONDS = 0.01
"""Deadlines are looked at no more often than this: whoever is late hears of it so much later."""


class Dispatcher:
    """Sends batches to free workers and hands their results out."""

    def __init__(
        self, clock: Clock, serving: Serving, metrics: Metrics, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._now = now
        self._serving = serving
        self.metrics = metrics
        self._patience = serving.deadline_ms / 1000
        self._max_delay = serving.max_delay_ms / 1000
        self._max_bytes = WAITING_BODIES * serving.max_body_bytes
        self._queue = Queue(serving.max_batch, self._patience)
        self._again: deque[Batch] = deque()
        self._free: list[Line] = []
        self._out: dict[Line, Errand] = {}
        self._scheduled = False
        self._lingers_until = 0.0
        self._ticking = False
        self._alarm = inf
        self._look_at = inf
        self._number = 0
        self.shut: Lane | None = None
        """Where a call was refused since a batch last left: the next of this kind is, too, before it is read."""

    @property
    def queued(self) -> int:
        """Count the calls that wait for a worker."""
        return self._queue.calls + sum(len(batch.jobs) for batch in self._again)

    @property
    def busy(self) -> int:
        """Count the workers that have a batch."""
        return len(self._out)

    # --- requests

    def submit(self, call: Call, waiter: Waiter, seconds: float | None = None) -> Job:
        """Queue a call whose client waits so many seconds, at most as long as the service lets it.

        It leaves at the end of this turn of the loop, so that what arrived in the same turn leaves with it. Give the
        job to `forget` when the client goes. Raises RequestError when too much waits already, or so much that the
        answer would come too late.
        """
        queue, now = self._queue, self._now()
        if now >= self._look_at:
            self._look(now)
        patience = self._patience if seconds is None or seconds > self._patience else seconds
        size = sum(map(len, call.data))
        lane = queue.lane(call.kind)
        began = self._clock.time()  # what is read now had come by then: in a busy front it has waited since
        if not began < now:
            began = now
        full = queue.calls >= self._serving.queue or queue.bytes + size > self._max_bytes
        busy = not self._free and queue.rows >= lane.most
        if queue.calls and (full or busy or patience + began - now < SHORT * lane.full):
            self._refuse(lane, call.rows, patience, now - began, full=full)
        job = Job(call, waiter, began, began + patience, size)
        queue.put(lane, job)
        if job.deadline < self._alarm:
            self._set_alarm(job.deadline, now)
        if self._free:
            if queue.rows >= lane.most:
                self._pump()
            elif not self._scheduled:
                self._scheduled = True
                self._clock.call_soon(self._pump)
        return job

    def turn_away(self, seconds: float | None = None) -> None:
        """Raise RequestError where a call of one row would be refused as the last one was; for who has not read it yet.

        A refusal must cost less than an answer, or those who are refused take the time of those who could be answered.
        Only where all that waits is of one kind is it known without reading what the answer would be.
        """
        lane, queue, now = self.shut, self._queue, self._now()
        if now >= self._look_at:
            self._look(now)
        if lane is None or not queue.calls or lane.rows < queue.rows:
            return
        patience = self._patience if seconds is None or seconds > self._patience else seconds
        full = queue.calls >= self._serving.queue
        self._refuse(lane, 1, patience, max(now - self._clock.time(), 0.0), full=full)

    def _refuse(self, lane: Lane, rows: int, patience: float, waited: float, *, full: bool) -> None:
        """Raise RequestError where too much waits already for so many rows more, whose client has waited so long."""
        wait, left = self._wait_before(lane, 0 if full else rows, self._now()), (patience - waited) * SAFETY
        if full or wait > left:
            self.shut = lane
            self.metrics.rejected("queue" if full else "deadline")
            late = f"the answer would take about {wait:.3g} seconds, longer than the {patience:g} that are left"
            message = "too many requests wait already" if full else late
            raise RequestError(message, 503, retry_after(wait if full else wait - left))

    def _look(self, now: float) -> None:
        """Hear workers that should be done: until the end of a turn of many requests they would have nothing to do."""
        self._look_at = now + LOOK_SECONDS
        for line, errand in list(self._out.items()):
            if errand.due <= now:
                line.look()

    def forget(self, job: Job) -> None:
        """Drop a call whose client has gone: it leaves the queue at once, and a stream of it is told to end."""
        job.release()
        kind = job.call.kind
        if self._queue.drop(self._queue.lane(kind), job) or not kind.stream:
            return
        self.hold(job, on=False)
        for line, errand in self._out.items():
            if errand.batch.jobs[0] is job:
                line.send(encode_cancel(errand.number))

    def empty(self) -> list[Job]:
        """Take out everything that waits for a worker, whose waiters are then others' business."""
        jobs = [job for batch in self._again for job in batch.waited_for().jobs]
        self._again.clear()
        for job in list(self._queue):
            self._queue.drop(self._queue.lane(job.call.kind), job)
            jobs.append(job)
        self.shut = None
        return jobs

    def hold(self, job: Job, *, on: bool) -> None:
        """Let a worker wait with its parts until the client has taken those it was sent; a stream alone is held."""
        for line, errand in self._out.items():
            if errand.held is not on and errand.lane.kind.stream and errand.batch.jobs[0] is job:
                errand.held = on
                errand.until = job.deadline = self._now() + self._patience
                line.hold(on=on)

    def _wait_before(self, lane: Lane, rows: int, now: float) -> float:
        """Say after how many seconds so many more rows would be done."""
        seconds, errands = self._queue.seconds_before(lane, rows), self._out.values()
        for errand in errands:
            if errand.due > now:
                seconds += errand.due - now
        return seconds / (len(errands) + len(self._free) or 1)

    # --- workers

    def join(self, line: Line) -> None:
        """Take a worker that is ready."""
        self._free.append(line)
        self._pump()

    def leave(self, line: Line, why: Loss = "crash", detail: str = "") -> None:
        """Forget a worker; the batch it had is tried again, see `after_loss`; `detail` names the limit it met."""
        if line in self._free:
            self._free.remove(line)
        errand = self._out.pop(line, None)
        if errand is None:
            return
        self._give_up_late(errand.batch.jobs, self._now())
        batch = errand.batch.waited_for()
        if errand.told:
            _fail(batch.jobs, RequestError("the worker died before the end of the answer", 500))
        elif batch.jobs:
            again = after_loss(batch, why)
            if not again:
                self.metrics.failed("worker")
                _fail(batch.jobs, verdict(why, detail))
            self._again.extendleft(reversed(again))
        self._pump()

    def finished(self, line: Line, result: Result, body: memoryview) -> None:
        """Hand out a result, after the next batch has left; raises FrameError on a result that nobody asked for."""
        errand = self._take_back(line, result.id)
        jobs = errand.batch.jobs
        now = self._now()
        self._queue.learn(errand.lane, errand.rows, now - errand.sent)
        self._lingers_until = now + self._max_delay
        errand.lane.echo.answered(len(jobs), self._lingers_until)
        self.metrics.predicted(len(jobs), errand.rows, result.seconds)
        self._pump()
        try:
            shares = hand_out(result, body, jobs)
        except FrameError as error:
            self._give_up(errand, RequestError(f"the model's answer cannot be used: {error}", 500), "answer")
            return
        self.metrics.drift.answered(errand.rows, result, body)
        for job, outputs in shares:
            waiter, job.waiter = job.waiter, NOBODY
            try:
                waiter.deliver(outputs)
            except Exception as error:  # noqa: BLE001 - one answer that cannot be written must not harm the others
                report("an answer could not be written", error=repr(error))
                job.waiter = waiter
                _fail([job], RequestError("internal error", 500))

    def part(self, line: Line, part: Part, body: memoryview) -> None:
        """Hand out a piece of a streamed answer, whose time begins anew; raises FrameError on one not asked for."""
        errand = self._out.get(line)
        if errand is None or errand.number != part.id or not errand.lane.kind.stream:
            raise FrameError(f"a worker streams batch {part.id}, which it does not have")
        job = errand.batch.jobs[0]
        errand.told = True
        errand.until = job.deadline = self._now() + self._patience
        try:
            job.waiter.part(read_outputs(part, body))
        except FrameError as error:
            self.hold(job, on=False)
            _fail([job], RequestError(f"the model's answer cannot be used: {error}", 500))
        except Exception as error:  # noqa: BLE001 - see `finished`
            self.hold(job, on=False)
            report("a part of an answer could not be written", error=repr(error))
            _fail([job], RequestError("internal error", 500))

    def failed(self, line: Line, failure: Failure) -> None:
        """Tell the client that its request failed, or find out which request of the batch it was."""
        errand = self._take_back(line, failure.id)
        if len(errand.batch.jobs) == 1 and not failure.refused:
            report("the model failed", error=failure.message, traceback=failure.traceback)
        whose = "the model refused the input" if failure.refused else "the model failed"
        error = RequestError(f"{whose}: {failure.message}", 400 if failure.refused else 500)
        self._give_up(errand, error, "input" if failure.refused else "model")

    def _give_up(self, errand: Errand, error: RequestError, reason: str) -> None:
        parts = halves(errand.batch)
        if not parts:
            self.metrics.failed(reason)
            _fail(errand.batch.jobs, error)
        self._again.extendleft(reversed(parts))
        self._pump()

    def _take_back(self, line: Line, id_: int) -> Errand:
        errand = self._out.get(line)
        if errand is None or errand.number != id_:
            raise FrameError(f"a worker answered batch {id_}, which it does not have")
        del self._out[line]
        if errand.held:  # its end had come with the part that was too much; nobody would let it go on later
            line.hold(on=False)
        self._free.append(line)
        return errand

    # --- batches

    def _pump(self) -> None:
        """Send what may leave to free workers; the one that worked last goes first, for its caches are warm."""
        self._scheduled = False
        while self._free:
            if self._again:
                batch = self._again.popleft().waited_for()
                if batch.jobs:
                    rows = sum([job.call.rows for job in batch.jobs])
                    self._send(self._free.pop(), batch, self._queue.lane(batch.jobs[0].call.kind), rows)
                continue
            lane = self._queue.first()
            if lane is None or self._lingers(lane):
                return
            now = self._now()
            lane.echo.let_go(now)
            jobs, late, rows = self._queue.take(lane, now)
            if late:
                self._give_up_late(late, inf)
            if jobs:
                self._send(self._free.pop(), Batch(jobs), lane, rows)

    def _lingers(self, lane: Lane) -> bool:
        """Say whether the next batch waits a moment for company, and see to it that the moment ends."""
        echo, rows = lane.echo, lane.rows
        expected = echo.missing
        if expected < LIKELY or rows >= lane.most or self._out or len(self._free) > 1:
            return False
        now = self._now()
        if now >= self._lingers_until or not pays_to_wait(lane.cost, len(lane.jobs), rows, expected, echo.wait):
            return False
        echo.hold(now)
        if not self._ticking:
            self._ticking = True
            self._clock.call_later(TICK, self._on_tick)
        return True

    def _on_tick(self) -> None:
        self._ticking = False
        self._pump()

    def _send(self, line: Line, batch: Batch, lane: Lane, rows: int) -> None:
        self._number = number = self._number + 1
        now, jobs = self._now(), batch.jobs
        self.metrics.sent(jobs, rows, now)
        expected = lane.cost.expect(rows)
        seconds = seconds_to_live(expected, len(jobs), batch.lost, self._patience)
        due = now + expected
        if due < self._look_at or not self._out:
            self._look_at = due
        self.shut = None
        self._out[line] = Errand(number, batch, lane, rows, now, due, now + seconds)
        if now + seconds < self._alarm:
            self._set_alarm(now + seconds, now)
        line.send(lane.head.frame(number, [job.call for job in jobs], rows, seconds))

    # --- deadlines

    def _set_alarm(self, when: float, now: float) -> None:
        self._alarm = max(when, now + ALARM_SECONDS)
        self._clock.call_later(self._alarm - now, self._on_alarm, self._alarm)

    def _on_alarm(self, when: float) -> None:
        """Answer whoever is late, and end workers that hang."""
        if when != self._alarm:  # one that was set for an earlier time has taken its place
            return
        self._alarm, now = inf, self._now()
        self._hear(now)
        late = [job for job in self._queue if job.deadline <= now]
        for job in late:
            self._queue.drop(self._queue.lane(job.call.kind), job)
        self._give_up_late(late, now)
        for batch in self._again:
            self._give_up_late(batch.jobs, now)
        for line, errand in list(self._out.items()):
            self._give_up_late(errand.batch.jobs, now)
            if errand.held and errand.until <= now:
                self.forget(errand.batch.jobs[0])
            elif errand.until <= now:
                errand.until = inf
                report("a worker hangs and is ended", seconds=round(now - errand.sent, 3), rows=errand.rows)
                line.kill("deadline")
        earliest = self._next_alarm()
        if earliest < inf:
            self._set_alarm(earliest, now)

    def _hear(self, now: float) -> None:
        """Look at workers that seem to hang: a front that was busy for long has not heard the answer yet."""
        for line, errand in list(self._out.items()):
            if errand.until <= now:
                line.look()

    def _next_alarm(self) -> float:
        waiting = [job.deadline for job in self._queue]
        waiting += [job.deadline for batch in self._again for job in batch.jobs]
        for errand in self._out.values():
            waiting.append(errand.until)
            waiting += [job.deadline for job in errand.batch.jobs if not job.waiter.gone]
        return min(waiting, default=inf)

    def _give_up_late(self, jobs: Sequence[Job], now: float) -> None:
        """Answer those whose deadline has passed by then."""
        for job in jobs:
            if job.deadline <= now and not job.waiter.gone:
                self.metrics.rejected("late")
                _fail([job], RequestError(f"there was no answer within {job.deadline - job.arrived:.3g} seconds", 504))


def _fail(jobs: Sequence[Job], error: RequestError) -> None:
    for job in jobs:
        try:
            job.release().fail(error)
        except Exception as problem:  # noqa: BLE001 - see `finished`
            report("an error could not be written", error=repr(problem))
