"""What is seen of a service by whoever watches it: numbers that only grow, and those of the moment. Values only."""

from __future__ import annotations

import msgspec

from tiffin.deploy.autoscale import average
from tiffin.deploy.local.scaling import policy_of
from tiffin.deploy.local.seen import Replica, Stage
from tiffin.deploy.local.table import Lane, Told
from tiffin.deploy.local.tally import RESTARTS
from tiffin.deploy.local.tended import View
from tiffin.deploy.service import Replicas
from tiffin.deploy.target import Phase, Revision, Status


class WatchedRevision(msgspec.Struct, frozen=True, kw_only=True):
    """One revision: its share of requests in percent, its replicas, and how its requests went since its front began.

    `durations` are counts by the upper bound of how long they took in seconds, None above every bound.
    """

    number: int
    weight: float = 0.0
    state: str = ""
    replicas: int = 0
    ready: int = 0
    in_flight: int = 0
    waiting: int = 0
    requests: int = 0
    errors: int = 0
    p99: float = 0.0
    durations: tuple[tuple[float | None, int], ...] = ()


class WatchedReplica(msgspec.Struct, frozen=True, kw_only=True):
    """One replica, and its first process on this machine where that is known."""

    name: str
    revision: int
    stage: Stage
    since: float
    pid: int = 0
    failure: str = ""


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """What the autoscaler saw last: averages over both of its windows, and whether it panics."""

    least: int
    most: int
    wanted: int
    stable: float = 0.0
    panic: float = 0.0
    panics: bool = False


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A service at a moment: `looked` is when its supervisor last looked, `counts` what happened how often, by kind.

    `waiting` are requests that no replica has begun, `in_flight` those that are in the front; times are in seconds
    since 1970.
    """

    name: str
    phase: Phase
    wanted: int
    address: str = ""
    findings: tuple[str, ...] = ()
    created: float = 0.0
    looked: float = 0.0
    waiting: int = 0
    in_flight: int = 0
    front: int = 0
    counts: dict[str, dict[str, int]] = {}
    revisions: tuple[WatchedRevision, ...] = ()
    replicas: tuple[WatchedReplica, ...] = ()
    scaling: Scaling | None = None

    @property
    def ready(self) -> int:
        """How many replicas serve."""
        return sum(one.ready for one in self.revisions)

    def staged(self, stage: Stage) -> int:
        """How many replicas are at a stage of their life."""
        return sum(one.stage is stage for one in self.replicas)

    @property
    def restarts(self) -> int:
        """How many replicas were lost, and replaced."""
        return sum(self.counts.get(RESTARTS, {}).values())


def watched_of(status: Status, seen: Seen) -> Watched:
    """Put together how a service is, as its supervisor has seen it and its front tells it."""
    view, told = seen.view, seen.told
    return Watched(
        name=status.name,
        phase=status.phase,
        wanted=status.wanted,
        address=next(iter(status.addresses), ""),
        findings=tuple(one.message for one in status.findings),
        created=seen.created,
        looked=view.observed.now + seen.ahead if view else 0.0,
        waiting=max(told.waiting, sum(lane.waiting for lane in told.revisions.values())),
        in_flight=sum(lane.in_flight for lane in told.revisions.values()),
        front=told.pid,
        counts=seen.counts,
        revisions=tuple(
            _revision(one, told) for one in status.revisions if one.replicas or str(one.number) in told.revisions
        ),
        replicas=tuple(_replica(one, view, seen.ahead) for one in view.observed.replicas) if view else (),
        scaling=_scaling(seen.replicas, view, status.wanted, seen.now) if view and seen.replicas.scales else None,
    )


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a service at `now` of the supervisor's clock, which the time of day is `ahead` of."""

    now: float
    ahead: float
    replicas: Replicas
    view: View | None
    told: Told
    counts: dict[str, dict[str, int]] = {}
    created: float = 0.0


def _revision(one: Revision, told: Told) -> WatchedRevision:
    lane = told.revisions.get(str(one.number), Lane(state=""))
    return WatchedRevision(
        number=one.number,
        weight=one.weight,
        state=lane.state,
        replicas=one.replicas,
        ready=one.ready,
        in_flight=lane.in_flight,
        waiting=lane.waiting,
        requests=lane.requests,
        errors=lane.errors,
        p99=lane.p99,
        durations=lane.durations,
    )


def _replica(one: Replica, view: View, ahead: float) -> WatchedReplica:
    return WatchedReplica(
        name=one.name,
        revision=one.revision,
        stage=one.stage,
        since=one.since + ahead,
        pid=view.processes.get(one.name, 0),
        failure=one.failure,
    )


def _scaling(replicas: Replicas, view: View, wanted: int, now: float) -> Scaling:
    """What the autoscaler goes by now: where nothing was heard of a front, it had no request."""
    policy, memory = policy_of(replicas, 0.0), view.course.memory
    return Scaling(
        least=replicas.least,
        most=replicas.most,
        wanted=wanted,
        stable=average(memory.samples, now, policy.stable_seconds),
        panic=average(memory.samples, now, policy.panic_seconds),
        panics=memory.alarmed > now - policy.stable_seconds,
    )
