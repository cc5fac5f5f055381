"""From what a front says to how many replicas are wanted."""

from __future__ import annotations

import msgspec
import pytest

from tiffin.deploy.autoscale import Decision
from tiffin.deploy.local.scaling import Course, Reading, follow, next_look, policy_of, reading_of, stirred
from tiffin.deploy.local.table import Lane, Told
from tiffin.deploy.service import Replicas

BEGAN = 1000.0
POLICY = policy_of(Replicas(least=0, most=10, concurrency=2, idle_seconds=30), start_seconds=1.0)


def followed(loads: list[float], ready: int = 1, began: float = BEGAN - 60) -> list[tuple[int, Decision | None]]:
    """A reading each second of so many requests at once; what is wanted is ready at once."""
    course, seconds, wanted, found = Course(began=began), 0.0, ready, list[tuple[int, Decision | None]]()
    for second, load in enumerate(loads):
        seconds += load
        reading = Reading(time=BEGAN + second, seconds={"1": seconds}, requests={"1": int(seconds)})
        decision, course = follow(POLICY, course, reading, wanted, wanted)
        wanted = decision.wanted if decision else wanted
        found.append((wanted, decision))
    return found


def test_the_difference_of_request_seconds_is_the_concurrency_that_decides() -> None:
    found = followed([6.0] * 70)
    assert found[-1][0] == 3
    decided = [decision for _, decision in found if decision]
    assert decided
    assert decided[-1].stable == pytest.approx(4.5), "no request before the first look, and 6 in each second since"


def test_a_supervisor_that_has_just_begun_lets_nobody_go_until_it_has_seen_a_window() -> None:
    known = followed([0.1] * 20, ready=5)
    assert known[-1][0] < 5
    new = followed([0.1] * 60, ready=5, began=BEGAN)
    assert [wanted for wanted, _ in new] == [5] * 60
    assert followed([0.1] * 70, ready=5, began=BEGAN)[-1][0] < 5


def test_it_still_brings_more_in_its_first_second() -> None:
    assert followed([0.0, 40.0], ready=1, began=BEGAN)[-1][0] > 1


def test_the_last_one_goes_after_idle_seconds_and_not_sooner_after_a_restart() -> None:
    wanted = [count for count, _ in followed([1.0] * 5 + [0.0] * 60)]
    assert wanted[30] == 1
    assert wanted[-1] == 0
    assert [count for count, _ in followed([0.0] * 29, began=BEGAN)] == [1] * 29


def test_a_service_that_sleeps_goes_on_sleeping_under_a_supervisor_that_has_just_begun() -> None:
    course = Course(began=BEGAN)
    for second in range(5):
        decision, course = follow(POLICY, course, Reading(time=BEGAN + second), 0, 0)
        assert decision is None


def test_a_request_that_waits_brings_one_at_once_even_where_the_last_look_was_just_now() -> None:
    course = Course(began=BEGAN - 100, last=Reading(time=BEGAN))
    decision, _ = follow(POLICY, course, Reading(time=BEGAN + 0.001, waiting=1), 0, 0)
    assert decision is not None
    assert decision.wanted == 1
    assert follow(POLICY, course, Reading(time=BEGAN + 0.001), 0, 0)[0] is None


def test_after_a_silence_the_load_is_of_late_and_not_spread_over_it() -> None:
    course = Course(began=BEGAN - 1000, last=Reading(time=BEGAN - 50, seconds={"1": 7.0}))
    decision, course = follow(POLICY, course, Reading(time=BEGAN, seconds={"1": 47.0}), 1, 1)
    assert course.memory.samples[-1].concurrency == pytest.approx(40.0)
    assert sum(sample.seconds for sample in course.memory.samples) == pytest.approx(50.0)
    assert decision is not None
    assert decision.wanted > 1


def test_a_front_that_is_another_one_begins_at_nothing() -> None:
    course = Course(began=BEGAN - 100, last=Reading(time=BEGAN, seconds={"1": 500.0}, requests={"1": 9}))
    _, course = follow(POLICY, course, Reading(time=BEGAN + 1, seconds={"1": 2.0}, requests={"1": 1}), 1, 1)
    assert course.memory.samples[-1].concurrency == pytest.approx(2.0)


def test_a_revision_that_goes_takes_nothing_away_and_a_new_one_counts() -> None:
    course = Course(began=BEGAN - 100, last=Reading(time=BEGAN, seconds={"1": 500.0, "2": 5.0}))
    _, course = follow(POLICY, course, Reading(time=BEGAN + 1, seconds={"2": 6.0, "3": 1.0}), 1, 1)
    assert course.memory.samples[-1].concurrency == pytest.approx(2.0)


def test_what_a_front_says_is_read_and_one_that_was_woken_has_a_request() -> None:
    told = Told(waiting=1, revisions={"1": Lane(seconds=2.0, waiting=3), "2": Lane(seconds=1.0, waiting=1)})
    assert reading_of(told, BEGAN) == Reading(
        time=BEGAN, seconds={"1": 2.0, "2": 1.0}, requests={"1": 0, "2": 0}, waiting=4
    )
    assert reading_of(Told(revisions={"1": Lane(state="awake")}), BEGAN).waiting == 1


def test_nobody_looks_each_second_at_a_service_without_load() -> None:
    course = stirred(Course(began=BEGAN), BEGAN)
    assert next_look(POLICY, course, 0, BEGAN) == 0.0
    assert next_look(POLICY, course, 1, BEGAN) == pytest.approx(BEGAN + 30, abs=1)
    assert next_look(POLICY, course, 3, BEGAN) == BEGAN + 1
    assert next_look(msgspec.structs.replace(POLICY, least=1), course, 1, BEGAN) == 0.0
