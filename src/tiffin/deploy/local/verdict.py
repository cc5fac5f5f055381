"""When a rollout is given up, and why: it does not come up, makes no progress, or serves worse than the one before."""

from __future__ import annotations

from tiffin.deploy.local.backoff import LOOP, recent
from tiffin.deploy.local.seen import Desired, Health, Observed, Stage

ENOUGH = 100
"""So many requests of a new revision say how many of them fail."""
MANY = 1000
"""So many say how slow the slowest hundredth is; of fewer it would be the one that came first."""
MORE_ERRORS = 0.05
"""By so much the share of requests that fail may rise."""
SLOWER, SLOWER_SECONDS = 2.0, 0.05
"""By so much the p99 may rise: it may double, and be so many seconds more."""


def verdict(desired: Desired, observed: Observed) -> str:
    """Say why a rollout is to be given up; empty where it is not."""
    if desired.settled or desired.paused or desired.failed or desired.gone:
        return ""
    if not observed.blind and (seen := _seen(desired, observed)):
        return seen
    late = observed.now - _progressed(desired, observed)
    if late > desired.rollout.progress_seconds and not _stands(desired, observed):
        return f"revision {desired.revision} has made no progress for {desired.rollout.progress_seconds:g} seconds"
    return ""


def _seen(desired: Desired, observed: Observed) -> str:
    """Say what is wrong with what is seen of it."""
    crashes = recent(desired.revision, observed.crashes, observed.now, desired.began)
    ready = [one for one in observed.replicas if one.revision == desired.revision and one.stage is Stage.READY]
    if len(crashes) >= LOOP and not ready:
        return f"revision {desired.revision} does not come up: {len(crashes)} of its replicas ended or were of no use"
    return _worse(desired, observed) if desired.rolls else ""


def _stands(desired: Desired, observed: Observed) -> bool:
    """Whether it is a canary that has come up: it stands as long as somebody wants it to."""
    there = any(one.revision == desired.revision and one.stage is Stage.READY for one in observed.replicas)
    return bool(desired.canary) and (there or desired.proven or observed.blind)


def due(desired: Desired, observed: Observed) -> float:
    """When a verdict or a replica's patience would change what is decided; 0 where nothing would by time alone."""
    if desired.settled or desired.paused or desired.gone:
        return 0.0
    patience = [
        one.since + desired.rollout.ready_seconds
        for one in observed.replicas
        if one.revision == desired.revision and one.stage is Stage.READY
    ]
    times = [*patience, _progressed(desired, observed) + desired.rollout.progress_seconds]
    return min((time for time in times if time > observed.now), default=0.0)


def _progressed(desired: Desired, observed: Observed) -> float:
    """When the rollout last came forward: it began, or a replica became ready."""
    ready = [one.since for one in observed.replicas if one.revision == desired.revision and one.stage is Stage.READY]
    return max([desired.began, *ready])


def _worse(desired: Desired, observed: Observed) -> str:
    """Say what is worse with the new revision than with the one it replaces."""
    new, old = observed.health.get(desired.revision), observed.health.get(desired.stable)
    if new is None or new.requests < ENOUGH:
        return ""
    failing, failed = _share(new), _share(old)
    if failing > failed + MORE_ERRORS:
        return f"{failing:.1%} of the requests to revision {desired.revision} failed, and {failed:.1%} before"
    if (
        old is not None
        and min(new.requests, old.requests) >= MANY
        and new.p99 > max(old.p99 * SLOWER, old.p99 + SLOWER_SECONDS)
    ):
        return (
            f"the p99 of revision {desired.revision} is {new.p99 * 1000:.0f} ms, and was {old.p99 * 1000:.0f} ms before"
        )
    return ""


def _share(health: Health | None) -> float:
    return health.errors / health.requests if health and health.requests else 0.0
