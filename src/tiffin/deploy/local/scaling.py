"""From what a front says, again and again, to how many replicas are wanted: pure, with a memory that is a value.

A supervisor that has just begun knows nothing of the load before: no memory is not idleness, so it lets nobody go until
it has seen a whole window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tiffin.deploy.autoscale import Decision, Memory, Policy, Sample, decide
from tiffin.deploy.local.table import AWAKE, Told
from tiffin.deploy.service import Replicas

EVERY = 1.0
"""Seconds between two looks where there is load."""
_BRIEF = 0.02
"""Two looks that follow each other so soon measure nothing."""
_GAP = 2 * EVERY
"""A front tells each second that there is load; where it was silent for longer, there was none until the last one."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a front had counted at a time: request seconds and requests of each revision, and who waits now."""

    time: float
    seconds: dict[str, float] = {}
    requests: dict[str, int] = {}
    waiting: int = 0


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a service's load since `began`: the last reading, and what the last decision left."""

    began: float
    last: Reading | None = None
    memory: Memory = Memory()


def reading_of(told: Told, now: float) -> Reading:
    """Take from what a front says what counts; a revision that a request has just woken has one that waits."""
    lanes = told.revisions
    waiting = max(told.waiting, sum(lane.waiting for lane in lanes.values()))
    return Reading(
        time=now,
        seconds={key: lane.seconds for key, lane in lanes.items()},
        requests={key: lane.requests for key, lane in lanes.items()},
        waiting=waiting or int(any(lane.state == AWAKE for lane in lanes.values())),
    )


def policy_of(replicas: Replicas, start_seconds: float) -> Policy:
    """How a service is scaled."""
    return Policy(
        least=replicas.least,
        most=replicas.most,
        concurrency=replicas.concurrency,
        idle_seconds=replicas.idle_seconds,
        start_seconds=start_seconds,
    )


def follow(policy: Policy, course: Course, reading: Reading, ready: int, wanted: int) -> tuple[Decision | None, Course]:
    """Take a reading in, and say how many replicas are wanted from now on, where `wanted` were; None says nothing new.

    The last replica goes by itself, and not in the same breath as others.
    """
    if course.last is not None and reading.time - course.last.time < _BRIEF and not (reading.waiting and not wanted):
        return None, course
    memory, decision = course.memory, None
    if wanted and memory.busy < course.began:  # one that sleeps goes on sleeping
        memory = msgspec.structs.replace(memory, busy=course.began)
    for sample in _samples(course, reading):
        decision, memory = decide(policy, memory, sample, ready)
    course = msgspec.structs.replace(course, last=reading, memory=memory)
    if decision is None or decision.wanted == wanted:
        return None, course
    known = policy.stable_seconds if wanted > 1 else 0.0  # the last one has its own, since `busy` is no time before
    if decision.wanted < wanted and reading.time - course.began < known:
        return None, course
    return decision, course


def stirred(course: Course, now: float) -> Course:
    """As if there had been a request: who has just been deployed is not idle yet."""
    return msgspec.structs.replace(course, memory=msgspec.structs.replace(course.memory, busy=now))


def next_look(policy: Policy, course: Course, wanted: int, now: float) -> float:
    """When the number may change although nothing is heard; 0 where it cannot."""
    if wanted > max(policy.least, 1):
        return now + EVERY
    if wanted > policy.least:
        return max(course.memory.busy + policy.idle_seconds, now) + EVERY / 10
    return 0.0


def _samples(course: Course, reading: Reading) -> Iterator[Sample]:
    """What was measured since the last reading; where a front was silent meanwhile, all of it was of late."""
    last = course.last or Reading(time=reading.time - EVERY, seconds=reading.seconds, requests=reading.requests)
    passed = max(reading.time - last.time, _BRIEF)
    busy, answered = _more(last.seconds, reading.seconds), _more(last.requests, reading.requests)
    if passed > _GAP:
        yield Sample(time=reading.time - EVERY, seconds=passed - EVERY, concurrency=0.0)
        passed = EVERY
    concurrency = max(busy / passed, float(reading.waiting > 0 and not busy))
    yield Sample(
        time=reading.time, seconds=passed, concurrency=concurrency, waiting=reading.waiting, rate=answered / passed
    )


def _more(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """What was counted since; a front that is another one begins at nothing."""
    return sum(count - before.get(key, 0) if count >= before.get(key, 0) else count for key, count in after.items())
