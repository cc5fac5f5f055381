"""`Desired x Observed -> Changes` for one service of this machine: a pure function that remembers nothing.

What follows from being one: whoever asks again gets the same answer, so a supervisor that was killed between two of the
changes goes on where it was; and a change that had no effect is decided again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import ceil

from tiffin.deploy.local.backoff import next_start
from tiffin.deploy.local.seen import (
    Change,
    Close,
    Desired,
    GiveUp,
    Observed,
    Open,
    Remove,
    Replica,
    Settle,
    Shift,
    Sleep,
    Stage,
    Start,
    Stop,
    Wait,
    Wake,
)
from tiffin.deploy.local.table import WHOLE, same_weights
from tiffin.deploy.local.verdict import due, verdict

_MOVES = {Stage.STARTING, Stage.READY, Stage.ASLEEP}


def decide(desired: Desired, observed: Observed) -> list[Change]:
    """Say what brings a service nearer to how it is wanted, first things first.

    Of replicas that are ready there will not be fewer than wanted less `unavailable` by anything decided here, and of
    replicas not more than wanted and `surge` (and those of a canary).
    """
    changes: list[Change] = [Remove(replica=one.name) for one in observed.replicas if one.stage is Stage.ENDED]
    why = verdict(desired, observed)
    if why:
        return [*changes, GiveUp(revision=desired.revision, to=desired.stable if desired.rolls else 0, why=why)]
    shares = shares_of(desired, observed)
    changes += _open(shares, observed)
    changes += _start(desired, observed, shares)
    if observed.blind and not desired.gone:
        return changes  # who seems to be of no use may be what serves
    changes += _wake(desired, observed)
    going = list(_let_go(desired, observed, shares))
    changes += _shift(desired, observed, {change.revision for change in going if isinstance(change, Close)})
    changes += going
    changes += _sleep(desired, observed, shares)
    if _has_settled(desired, observed):
        changes.append(Settle(revision=desired.revision))
    elif until := due(desired, observed):
        changes.append(Wait(until=until))
    return changes


def shares_of(desired: Desired, observed: Observed) -> dict[int, int]:
    """How many replicas each revision should have in the end."""
    wanted = desired.replicas
    if desired.gone:
        return {}
    if not desired.rolls:
        return {desired.revision: max(wanted, int(desired.sleeps))}
    if desired.canary:
        return {desired.stable: wanted, desired.revision: max(1, ceil(wanted * desired.canary / 100))}
    if desired.paused:
        return _as_they_are(desired, observed)
    return {desired.revision: wanted}


def wanted(desired: Desired, observed: Observed) -> int:
    """How many replicas are to serve, those of a canary included."""
    return sum(shares_of(desired, observed).values()) if desired.canary and desired.rolls else desired.replicas


def serves(replica: Replica, observed: Observed) -> bool:
    """Whether requests may come to a replica."""
    return replica.stage is Stage.READY and not replica.failure and observed.fronts.get(replica.revision, False)


def is_sure(replica: Replica, desired: Desired, observed: Observed) -> bool:
    """Whether others may go because of this replica: a new one has to have been ready for a while."""
    new = not desired.settled and replica.revision == desired.revision
    waited = observed.now - replica.since >= desired.rollout.ready_seconds
    return serves(replica, observed) and (waited or not new)


def _as_they_are(desired: Desired, observed: Observed) -> dict[int, int]:
    """Hold a rollout: each revision keeps what it has, and what is lost is made up for by the one that has settled."""
    there = Counter(one.revision for one in _living(observed))
    wanted, total = desired.replicas, sum(there.values())
    there[desired.stable] += max(wanted - total, 0)
    for revision in (desired.stable, desired.revision):
        over = max(sum(there.values()) - wanted - desired.surge, 0)
        there[revision] -= min(over, there[revision])
    return {revision: count for revision, count in there.items() if count or revision == desired.stable}


def _living(observed: Observed) -> list[Replica]:
    return [one for one in observed.replicas if one.stage in _MOVES and not one.failure]


def _open(shares: Mapping[int, int], observed: Observed) -> Iterator[Change]:
    for revision in sorted(shares):
        if revision not in observed.fronts:
            yield Open(revision=revision)


def _start(desired: Desired, observed: Observed, shares: Mapping[int, int]) -> Iterator[Change]:
    """Start what is missing, as far as there is room, and not sooner than crashes let it.

    Where nobody lives there is room beside those that are on their way out: a request may be waiting.
    """
    there = Counter(one.revision for one in _living(observed))
    total = sum(one.stage is not Stage.ENDED for one in observed.replicas)
    room = sum(shares.values()) + (desired.surge if not desired.settled or not there else 0) - total
    for revision in sorted(shares):
        missing = min(shares[revision] - there[revision], room)
        if missing <= 0 or not observed.fronts.get(revision, True):
            continue
        since = next_start(revision, observed.crashes)
        if since > observed.now:
            yield Wait(until=since)
            continue
        room -= missing
        yield from (Start(revision=revision) for _ in range(missing))


def _let_go(desired: Desired, observed: Observed, shares: Mapping[int, int]) -> Iterator[Change]:
    """Stop what is of no use at once, and of what serves only as much as can be spared."""
    floor = 0 if desired.gone else desired.replicas - desired.rollout.unavailable
    serving = [one for one in observed.replicas if serves(one, observed)]
    sure = {one.name for one in serving if is_sure(one, desired, observed)}
    there = {one.revision for one in observed.replicas} | observed.fronts.keys()
    for revision in sorted(there, key=lambda revision: (revision == desired.stable, revision)):
        count = shares.get(revision, 0)
        idle, busy = _surplus(revision, count, observed)
        yield from (Stop(replica=one.name, why=one.failure or _why(revision, desired)) for one in idle)
        going = []
        for one in busy:
            if len(sure - {one.name}) >= floor:
                sure.discard(one.name)
                going.append(one)
        open_ = observed.fronts.get(revision, False)
        if open_ and revision not in shares and len(going) == len(busy):
            yield Close(revision=revision)  # they go when it has finished
        else:
            yield from (Stop(replica=one.name, why=_why(revision, desired)) for one in going)


def _surplus(revision: int, count: int, observed: Observed) -> tuple[list[Replica], list[Replica]]:
    """Whom a revision can do without: those of no use, and of those that serve the youngest."""
    running = [one for one in observed.replicas if one.revision == revision and one.stage in _MOVES]
    useless = [one for one in running if one.failure]
    living = [one for one in running if not one.failure]
    over = max(len(living) - count, 0)
    starting = [one for one in living if one.stage is Stage.STARTING]
    ready = sorted((one for one in living if one.stage is not Stage.STARTING), key=lambda one: (-one.since, one.name))
    idle, rest = starting[:over], over - len(starting[:over])
    if revision not in observed.fronts:
        return [*useless, *idle, *ready[:rest]], []
    return [*useless, *idle], ready[:rest] if observed.fronts[revision] else []


def _why(revision: int, desired: Desired) -> str:
    if desired.gone:
        return "the service is deleted"
    return "there are more than wanted" if revision == desired.revision else "another revision takes its place"


def _shift(desired: Desired, observed: Observed, going: set[int]) -> Iterator[Change]:
    """Share the requests out anew among the revisions that stay."""
    weights = _weights(desired, observed, going)
    if weights and not same_weights(weights, observed.weights):
        yield Shift(weights=weights)


def _weights(desired: Desired, observed: Observed, going: set[int]) -> dict[int, float]:
    """To a canary its part, else to whoever has replicas that serve; where nobody has, to the one that will."""
    staying = {revision for revision, open_ in observed.fronts.items() if open_} - going
    ready = Counter(one.revision for one in observed.replicas if one.revision in staying and serves(one, observed))
    total = sum(ready.values())
    if desired.canary and desired.rolls and ready[desired.revision] and ready[desired.stable]:
        return {desired.revision: desired.canary, desired.stable: WHOLE - desired.canary}
    if total:
        return {revision: WHOLE * count / total for revision, count in ready.items()}
    waited_for = [revision for revision in (desired.stable, desired.revision) if revision in staying]
    return {waited_for[0]: WHOLE} if waited_for else {}


def _wake(desired: Desired, observed: Observed) -> Iterator[Change]:
    """Let nobody sleep who is wanted, or is to go."""
    for revision in sorted(observed.asleep):
        if revision in observed.fronts and not (desired.sleeps and revision == desired.revision):
            yield Wake(revision=revision)


def _sleep(desired: Desired, observed: Observed, shares: Mapping[int, int]) -> Iterator[Change]:
    """Put the last replica to sleep, once it is the last, and is ready."""
    last = [one for one in _living(observed) if one.revision == desired.revision]
    ready = [one for one in last if one.stage is Stage.READY]
    if desired.sleeps and desired.settled and shares.keys() == observed.fronts.keys() and len(last) == 1 == len(ready):
        yield Sleep(revision=desired.revision)


def _has_settled(desired: Desired, observed: Observed) -> bool:
    """Say whether the wanted revision is there as it is wanted, and nothing of any other."""
    if desired.settled or desired.gone or (desired.rolls and (desired.canary or desired.paused)):
        return False
    left = any(one.revision != desired.revision for one in observed.replicas) or observed.fronts.keys() - {
        desired.revision
    }
    sure = sum(is_sure(one, desired, observed) for one in observed.replicas)
    return not left and sure >= desired.replicas
