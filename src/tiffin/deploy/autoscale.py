"""How many replicas a load wants: a pure function of what was measured, with the numbers that made each decision.

The shape is that of Knative's KPA (serving, pkg/autoscaler/scaling): an average over a long, stable window decides, and
one over a short window takes over in a panic. Two things differ. The queue is ours to see, so a backlog counts at once,
but only what is left of it when a replica that is started now is ready. And a panic keeps what was needed in the last
stable window, not the most that it ever saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf

import msgspec


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a service is scaled: replicas at least and at most, and how many requests one of them should have at once.

    `stable_seconds` and `panic_seconds` are the windows over which concurrency is averaged; it is a panic when the
    short average wants `panic` times what is ready. One decision goes to at most `faster` times what is ready, and to
    no less than a `slower`th of it. `start_seconds` is what a replica takes until it is ready. `idle_seconds` go by
    without a request before the last one is let go.
    """

    least: int = 1
    most: int = 1
    concurrency: float = 8.0
    stable_seconds: float = 60.0
    panic_seconds: float = 6.0
    panic: float = 2.0
    faster: float = 1000.0
    slower: float = 2.0
    start_seconds: float = 2.0
    idle_seconds: float = 60.0


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What a front measured in the `seconds` until `time`.

    `concurrency` is how many requests were in it on average, waiting or predicted; `waiting` wait now, and `rate` were
    answered a second.
    """

    time: float
    seconds: float
    concurrency: float
    waiting: int = 0
    rate: float = 0.0


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What one decision leaves to the next.

    `samples` are those of the stable window. `needs` are the replicas that were needed on short notice, each with its
    time: the most first, then what was the most after it. `alarmed` is when it last was a panic, `busy` when there last
    was a request. `pace` is how many requests a second one replica answers when there are enough, as far as is known.
    """

    samples: tuple[Sample, ...] = ()
    needs: tuple[tuple[float, int], ...] = ()
    alarmed: float = -inf
    busy: float = -inf
    pace: float = 0.0


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """So many replicas are wanted, and what says so: both averages, the backlog that counts, and a few words."""

    wanted: int
    stable: float
    panic: float
    backlog: float
    panics: bool
    why: str


def decide(policy: Policy, memory: Memory, sample: Sample, ready: int) -> tuple[Decision, Memory]:
    """Take a sample in, and say how many replicas are wanted where `ready` are; the memory is for the next decision."""
    horizon = sample.time - policy.stable_seconds
    samples = (*(one for one in memory.samples if one.time > horizon), sample)
    stable = average(samples, sample.time, policy.stable_seconds)
    panic = average(samples, sample.time, policy.panic_seconds)
    pace = _pace(memory.pace, sample, ready)
    backlog = max(sample.waiting - pace * max(ready, 1) * policy.start_seconds, 0.0)
    begun = max(sample.concurrency - sample.waiting, 0.0)
    need = _replicas(max(panic, begun + backlog) if backlog else panic, policy)
    memory = Memory(
        samples=samples,
        needs=(
            *((time, count) for time, count in memory.needs if time > horizon and count > need),
            (sample.time, need),
        ),
        alarmed=sample.time if need >= policy.panic * max(ready, 1) else memory.alarmed,
        busy=sample.time if sample.concurrency or sample.waiting else memory.busy,
        pace=pace,
    )
    panics = memory.alarmed > horizon
    wanted = max(_replicas(stable, policy), int(max(ready, 1) / policy.slower))
    wanted = max(wanted, memory.needs[0][1]) if panics else wanted
    wanted = min(wanted, ceil(policy.faster * max(ready, 1)))
    kept, bound = _within(policy, wanted, idle=sample.time - memory.busy)
    why = bound or _why(sample, ready, f"{need} for what came suddenly" if panics else f"{stable:.1f} requests at once")
    return Decision(wanted=kept, stable=stable, panic=panic, backlog=backlog, panics=panics, why=why), memory


def _why(sample: Sample, ready: int, measured: str) -> str:
    """Where nobody is ready, one that waits says more than any average."""
    return "a request waits, and nobody is ready" if sample.waiting and not ready else measured


def average(samples: Sequence[Sample], now: float, seconds: float) -> float:
    """The average concurrency of the last seconds, each sample weighing as long as it took of them; 0 without one."""
    begin = now - seconds
    weighed = [(min(one.seconds, one.time - begin), one.concurrency) for one in samples if one.time > begin]
    weight = sum(share for share, _ in weighed)
    return sum(share * concurrency for share, concurrency in weighed) / weight if weight else 0.0


def _pace(known: float, sample: Sample, ready: int) -> float:
    """What one replica answers a second; those that always have something to do show it best."""
    if not ready:
        return known
    seen = sample.rate / ready
    return (known + seen) / 2 if sample.waiting and known else max(known, seen)


def _replicas(concurrency: float, policy: Policy) -> int:
    return ceil(concurrency / policy.concurrency)


def _within(policy: Policy, wanted: int, idle: float) -> tuple[int, str]:
    """Keep to what the policy allows, and say what it does not."""
    if wanted > policy.most:
        return policy.most, f"{wanted}, and {policy.most} are allowed"
    if wanted == 1 and idle >= policy.idle_seconds:
        wanted = 0  # an average that is not quite nothing yet keeps nobody
    least = max(policy.least, int(idle < policy.idle_seconds))
    if wanted < least:
        return least, f"{policy.least} at least" if policy.least else "the last one waits for requests"
    return wanted, "" if wanted else f"no request for {policy.idle_seconds:g} s"
