"""`top`: how the services of this machine are, what they are asked, and what they use, between two looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from math import inf, isinf

import msgspec

from tiffin.api.machine.home import Home
from tiffin.deploy.local.seen import Stage
from tiffin.deploy.local.watched import Watched, WatchedReplica, WatchedRevision
from tiffin.engine.embedded.usage import age_of, inhabitants, memory_of, processor_seconds

SECONDS = 0.5
"""How long is looked at what is asked for once."""
MEMORY_SECONDS = 10.0
"""How often memory is added up anew: the kernel takes some time to."""
FRONT = "front"
Durations = Sequence[tuple[float | None, int]]


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What a part has used until a look: seconds of processors, bytes of memory, processes; and its age in seconds."""

    cpu_seconds: float
    memory: int
    processes: int
    age: float = 0.0


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at a moment: `at` of a clock that only goes on, `now` since 1970; `used` is by first process."""

    at: float
    now: float
    sights: tuple[Watched, ...] = ()
    used: dict[int, Used] = {}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A replica, or the front: `cpu` is in percent of one processor, `memory` in bytes; None where nobody knows."""

    name: str
    revision: int = 0
    stage: str = ""
    cpu: float | None = None
    memory: int | None = None
    processes: int | None = None
    age: float = 0.0
    why: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How requests went between two looks: how many and how many failed a second, median and tail in seconds."""

    rate: float | None = None
    errors: float | None = None
    p50: float | None = None
    p99: float | None = None


class RevisionRow(Asked, frozen=True, kw_only=True):
    """A revision of a service; `weight` is its share of requests in percent."""

    number: int
    weight: float
    state: str
    ready: int
    replicas: int
    waiting: int
    in_flight: int


class Row(Asked, frozen=True, kw_only=True):
    """A service: its revisions and parts, what it is asked and what all its parts use; `age` is in seconds.

    `findings` say what is in its way.
    """

    name: str
    phase: str
    wanted: int
    ready: int
    starting: int
    waiting: int
    in_flight: int
    cpu: float | None
    memory: int | None
    restarts: int
    age: float
    address: str
    findings: tuple[str, ...] = ()
    revisions: tuple[RevisionRow, ...] = ()
    parts: tuple[Part, ...] = ()


class Watcher:
    """Looks again and again; a name is one service, none is all of them."""

    def __init__(self, name: str = "") -> None:
        from tiffin.api.services.up import this_machine

        self._name, self._target = name, this_machine(Home.of())
        self._memory: dict[int, tuple[float, int]] = {}
        self._last: Look | None = None

    def rows(self) -> list[Row]:
        """What has been since the last time; raises NotFoundError, and UnavailableError where no supervisor runs."""
        look, last = self._look(), self._last
        self._last = look
        return rows(last, look)

    def _look(self) -> Look:
        sights = tuple(self._target.watch(self._name))
        at = time.monotonic()
        there = {one.pid for sight in sights for one in sight.replicas if one.pid}
        processes = inhabitants(there) | {sight.front: [sight.front] for sight in sights if sight.front}
        self._memory = {pid: known for pid, known in self._memory.items() if pid in processes}
        used = {pid: self._used(pid, found, at) for pid, found in processes.items()}
        return Look(at=at, now=time.time(), sights=sights, used=used)

    def _used(self, pid: int, processes: Sequence[int], at: float) -> Used:
        since, memory = self._memory.get(pid, (-inf, 0))
        if at - since >= MEMORY_SECONDS:
            memory = memory_of(processes)
            self._memory[pid] = (at, memory)
        return Used(cpu_seconds=processor_seconds(processes), memory=memory, processes=len(processes), age=age_of(pid))


def once(name: str = "", pause: Callable[[float], None] = time.sleep) -> list[Row]:
    """Look twice, and say what has been between."""
    watcher = Watcher(name)
    watcher.rows()
    pause(SECONDS)
    return watcher.rows()


def rows(before: Look | None, after: Look) -> list[Row]:
    """Say what has been between two looks; of the first one, what is so at the moment."""
    last = {one.name: one for one in before.sights} if before else {}
    seconds = after.at - before.at if before else 0.0
    return [_row(last.get(one.name), one, _Usage(before, after), seconds) for one in after.sights]


class _Usage:
    """What parts have used between two looks."""

    def __init__(self, before: Look | None, after: Look) -> None:
        self._before, self._after = before, after

    def part(self, pid: int, part: Part) -> Part:
        used = self._after.used.get(pid)
        if used is None:
            return part
        last = self._before.used.get(pid) if self._before else None
        cpu = None
        if last and self._before:
            cpu = max(used.cpu_seconds - last.cpu_seconds, 0.0) / (self._after.at - self._before.at) * 100
        return msgspec.structs.replace(
            part, cpu=cpu, memory=used.memory or None, processes=used.processes, age=part.age or used.age
        )

    def age(self, since: float) -> float:
        return max(self._after.now - since, 0.0) if since else 0.0


def _row(before: Watched | None, after: Watched, usage: _Usage, seconds: float) -> Row:
    parts = tuple(_part(one, usage) for one in after.replicas)
    if after.front:
        parts = (usage.part(after.front, Part(name=FRONT, stage="ready")), *parts)
    if before and not (before.front and after.front):  # a front that said nothing has not begun anew
        before = None
    last = {one.number: one for one in before.revisions} if before else {}
    began = WatchedRevision(number=0)
    pairs = [(last.get(one.number, began), one) for one in after.revisions] if before else []
    return Row(
        name=after.name,
        phase=after.phase.value,
        wanted=after.wanted,
        ready=after.ready,
        starting=after.staged(Stage.STARTING),
        waiting=after.waiting,
        in_flight=after.in_flight,
        cpu=_sum(one.cpu for one in parts),
        memory=sum(one.memory or 0 for one in parts) or None,
        restarts=after.restarts,
        age=usage.age(after.created),
        address=after.address,
        findings=after.findings,
        revisions=tuple(
            _revision(last.get(one.number, began) if before else None, one, seconds) for one in after.revisions
        ),
        parts=parts,
        **_asked(pairs, seconds),
    )


def _part(one: WatchedReplica, usage: _Usage) -> Part:
    part = Part(name=one.name, revision=one.revision, stage=one.stage.value, age=usage.age(one.since), why=one.failure)
    return usage.part(one.pid, part)


def _revision(before: WatchedRevision | None, after: WatchedRevision, seconds: float) -> RevisionRow:
    return RevisionRow(
        number=after.number,
        weight=after.weight,
        state=after.state,
        ready=after.ready,
        replicas=after.replicas,
        waiting=after.waiting,
        in_flight=after.in_flight,
        **_asked([(before, after)] if before else [], seconds),
    )


def _asked(pairs: Sequence[tuple[WatchedRevision, WatchedRevision]], seconds: float) -> dict[str, float | None]:
    """How requests went to these revisions, seen before and after; what began anew has counted from 0 again."""
    if not pairs or seconds <= 0:
        return {}
    requests = sum(_grown(before.requests, after.requests) for before, after in pairs)
    errors = sum(_grown(before.errors, after.errors) for before, after in pairs)
    durations = between([one.durations for one, _ in pairs], [one.durations for _, one in pairs])
    tails = {"p50": quantile(durations, 0.5), "p99": quantile(durations, 0.99)}
    if requests and not durations:  # a front that tells no more
        tails["p99"] = max(after.p99 for before, after in pairs if after.requests != before.requests)
    return {"rate": requests / seconds, "errors": errors / seconds, **tails}


def _grown(before: int, after: int) -> int:
    return after - before if after >= before else after


def between(before: Iterable[Durations], after: Iterable[Durations]) -> list[tuple[float, int]]:
    """What came to counts by bound, of several that are alike."""
    found: dict[float, int] = {}
    for old, new in zip(before, after, strict=True):
        known, now = _bounded(old), _bounded(new)
        if any(now.get(bound, 0) < count for bound, count in known.items()):
            known = {}
        for bound, count in now.items():
            found[bound] = found.get(bound, 0) + count - known.get(bound, 0)
    return sorted((bound, count) for bound, count in found.items() if count)


def _bounded(durations: Durations) -> dict[float, int]:
    return {inf if bound is None else bound: count for bound, count in durations}


def quantile(durations: Sequence[tuple[float, int]], share: float) -> float | None:
    """The bound below which a share of them lies: the upper one of its bucket, of the last one the largest known."""
    total = sum(count for _, count in durations)
    passed = 0
    for place, (bound, count) in enumerate(durations):
        passed += count
        if passed >= share * total:
            return (durations[place - 1][0] if place else None) if isinf(bound) else bound
    return None


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
