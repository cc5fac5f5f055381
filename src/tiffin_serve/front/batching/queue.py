"""What waits: one lane for each kind of call, each with its own fit of cost and echo.

Within a lane calls keep their order. Between lanes the one leaves first whose oldest call has the least time left,
where nobody's time counts as more than `PREFERENCE`: a short deadline helps by so much, and then age decides, so that
no kind starves another. Everything here is O(1) a call and O(log lanes) a batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

from tiffin_serve.front.batching.batches import Job
from tiffin_serve.front.batching.cost import Cost, Echo
from tiffin_serve.front.batching.decide import SAFETY, backlog, is_hopeless, rows_in_time
from tiffin_serve.protocol.call import CallKind
from tiffin_serve.protocol.frames import BatchHead

PREFERENCE = 1.0
"""Seconds by which a short deadline may overtake a long one of another kind."""
KEPT_LANES = 64
"""How many kinds are remembered when nothing of theirs waits: parameters may make any number of them."""


class Lane:
    """The calls of one kind that wait, oldest first, and what is known of the kind.

    Together they have so many `rows` and `bytes`, and none a deadline before `hurry`; a batch of the `most` rows that
    may leave together is `full` seconds of a worker.
    """

    __slots__ = ("bytes", "cost", "echo", "full", "head", "hurry", "jobs", "kind", "listed", "most", "rows")

    def __init__(self, kind: CallKind, most: int, cost: Cost) -> None:
        self.kind = kind
        self.most = 1 if kind.alone else most
        self.head = BatchHead(kind)
        self.jobs: OrderedDict[Job, None] = OrderedDict()
        self.rows = 0
        self.bytes = 0
        self.hurry = inf
        self.listed = False
        self.cost = cost
        self.full = cost.expect(self.most)
        self.echo = Echo()

    def urgency(self) -> float:
        """Give the time by which the oldest call is to be thought of."""
        oldest = next(iter(self.jobs))
        return min(oldest.deadline, oldest.arrived + PREFERENCE)


class Taken(NamedTuple):
    """Jobs that leave together, if there are any, and those that can no longer be answered in time."""

    jobs: tuple[Job, ...]
    late: list[Job]
    rows: int


class Queue:
    """All lanes, and what waits in them together: calls, rows, bytes."""

    def __init__(self, max_batch: int, patience: float = inf) -> None:
        self._most = max_batch
        self._longest = SAFETY * patience / 2
        self._lanes: dict[CallKind, Lane] = {}
        self._ready: list[tuple[float, int, Lane]] = []
        self._tickets = 0
        self._all = Cost()
        self.calls = 0
        self.rows = 0
        self.bytes = 0

    def __iter__(self) -> Iterator[Job]:
        """Go through everything that waits."""
        for lane in self._lanes.values():
            yield from lane.jobs

    def lane(self, kind: CallKind) -> Lane:
        """Give the lane of a kind; a new one costs what the others do until it shows otherwise."""
        lane = self._lanes.get(kind)
        if lane is None:
            if len(self._lanes) >= KEPT_LANES:
                self._tidy()
            self._lanes[kind] = lane = Lane(kind, self._most, self._all.heir())
        return lane

    def learn(self, lane: Lane, rows: int, seconds: float) -> None:
        """Take note of what a batch cost; one that finds another before it must still be done in time."""
        lane.cost.learn(rows, seconds)
        lane.most = 1 if lane.kind.alone else rows_in_time(lane.cost, self._most, self._longest)
        lane.full = lane.cost.expect(lane.most)
        self._all.learn(rows, seconds)

    def seconds_before(self, lane: Lane, rows: int) -> float:
        """Say about how many seconds of a worker are waiting when so many rows more wait in a lane."""
        seconds, others = backlog(lane.cost, lane.rows + rows, lane.most), self.rows - lane.rows
        if others:
            lanes = len(self._ready) - lane.listed
            seconds += self._all.fixed * max(lanes, others // self._most) + self._all.each * others
        return seconds

    def put(self, lane: Lane, job: Job) -> None:
        """Append a job."""
        rows = job.call.rows
        lane.jobs[job] = None
        lane.rows += rows
        lane.bytes += job.size
        if job.deadline < lane.hurry:  # noqa: PLR1730 - `min` would cost every request a call
            lane.hurry = job.deadline
        if job.arrived < lane.echo.until:
            lane.echo.came += 1
        self.calls += 1
        self.rows += rows
        self.bytes += job.size
        if not lane.listed:
            self._list(lane)

    def drop(self, lane: Lane, job: Job) -> bool:
        """Take a job out before its turn; says whether it was there."""
        if job not in lane.jobs:
            return False
        del lane.jobs[job]
        self._left(lane, 1, job.call.rows, job.size)
        return True

    def first(self) -> Lane | None:
        """Give the lane whose turn it is, or None when nothing waits."""
        while self._ready:
            lane = self._ready[0][2]
            if lane.jobs:
                return lane
            heappop(self._ready)
            lane.listed = False
        return None

    def take(self, lane: Lane, now: float) -> Taken:
        """Take the next batch out of the lane whose turn it is: the oldest call and those that fit beside it.

        Where a full batch waits, calls that are too late for it go out as late: to save one by a smaller batch would
        cost all others more than it gains. Where less waits, the batch ends where the oldest call would become late.
        The last call of all is tried even so: what is known of the cost may be wrong, and nothing else would mend it.
        """
        heappop(self._ready)
        lane.listed = False
        if lane.rows <= lane.most and now + lane.full <= lane.hurry:
            taken = Taken(tuple(lane.jobs), [], lane.rows)
            lane.jobs.clear()
            self._left(lane, len(taken.jobs), lane.rows, lane.bytes)
            return taken
        taken = self._pick(lane, now)
        if lane.jobs:
            self._list(lane)
        return taken

    def _pick(self, lane: Lane, now: float) -> Taken:
        """Take what may leave, job by job."""
        late: list[Job] = []
        taken: list[Job] = []
        jobs, rows, limit, full = lane.jobs, 0, lane.most, lane.rows >= lane.most > 1
        hurried = now + lane.full > lane.hurry
        while jobs and (not taken or rows < limit):
            job = next(iter(jobs))
            more = job.call.rows
            if hurried and self._is_late(lane, max(more, limit) if full else more, job.deadline - now, first=not taken):
                late.append(job)
            else:
                if hurried and not full:
                    limit = min(limit, rows_in_time(lane.cost, limit, job.deadline - now))
                if taken and rows + more > limit:
                    break
                rows += more
                taken.append(job)
            jobs.popitem(last=False)
            self._left(lane, 1, more, job.size)
        return Taken(tuple(taken), late, rows)

    def _is_late(self, lane: Lane, rows: int, seconds: float, *, first: bool) -> bool:
        """Say whether a job would come too late in a batch of so many rows; the very last of all is tried."""
        if seconds <= 0:
            return True
        tried = self.calls == 1 or (not first and lane.rows < lane.most)
        return not tried and is_hopeless(lane.cost, rows, seconds)

    def _list(self, lane: Lane) -> None:
        self._tickets += 1
        heappush(self._ready, (lane.urgency(), self._tickets, lane))
        lane.listed = True

    def _left(self, lane: Lane, jobs: int, rows: int, size: int) -> None:
        self.calls -= jobs
        self.rows -= rows
        self.bytes -= size
        lane.rows -= rows
        lane.bytes -= size
        if not lane.jobs:
            lane.hurry = inf

    def _tidy(self) -> None:
        """Forget a kind or two of which nothing waits: more go than come until few are kept."""
        for kind in list(self._lanes)[:2]:
            lane = self._lanes.pop(kind)
            if lane.jobs or lane.listed:
                self._lanes[kind] = lane
