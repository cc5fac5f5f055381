"""How many replicas a load wants."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.deploy.autoscale import Decision, Memory, Policy, Sample, average, decide

POLICY = Policy(least=1, most=20, concurrency=10)
amounts = st.floats(0, 1000, allow_nan=False)


def after(policy: Policy, loads: list[float], ready: int = 1) -> list[Decision]:
    """Decide once a second; what is wanted is ready at once."""
    memory, decisions = Memory(), []
    for second, load in enumerate(loads):
        sample = Sample(time=float(second), seconds=1.0, concurrency=load)
        decision, memory = decide(policy, memory, sample, ready)
        ready = decision.wanted
        decisions.append(decision)
    return decisions


def test_as_many_are_wanted_as_the_average_asks_for() -> None:
    assert after(POLICY, [25.0] * 90)[-1].wanted == 3


def test_a_sudden_load_is_followed_within_the_short_window() -> None:
    decisions = after(POLICY, [5.0] * 60 + [100.0] * 6)
    assert decisions[-1].panics
    assert decisions[-1].wanted == 10


def test_nothing_is_let_go_in_a_panic_and_all_of_it_after_a_stable_window() -> None:
    decisions = after(POLICY, [5.0] * 60 + [100.0] * 6 + [5.0] * 130)
    wanted = [decision.wanted for decision in decisions[66:]]
    assert wanted[:50] == [10] * 50
    assert wanted[-1] == 1


def test_a_backlog_counts_at_once() -> None:
    memory = Memory(pace=10.0)
    late = Sample(time=0.0, seconds=1.0, concurrency=10.0, waiting=100, rate=10.0)
    assert decide(POLICY, memory, late, 1)[0].backlog == pytest.approx(80.0)
    assert decide(POLICY, memory, late, 1)[0].wanted > 1


def test_what_is_gone_before_a_replica_could_start_starts_none() -> None:
    memory = Memory(pace=100.0)
    brief = Sample(time=0.0, seconds=1.0, concurrency=10.0, waiting=150, rate=100.0)
    assert decide(POLICY, memory, brief, 1)[0].wanted == 1


def test_the_last_one_goes_after_a_while_without_a_request() -> None:
    policy = msgspec.structs.replace(POLICY, least=0)
    wanted = [decision.wanted for decision in after(policy, [5.0] + [0.0] * 70)]
    assert wanted[:60] == [1] * 60
    assert wanted[-1] == 0


def test_the_last_one_goes_sooner_than_the_window_where_that_is_said() -> None:
    policy = msgspec.structs.replace(POLICY, least=0, idle_seconds=10)
    wanted = [decision.wanted for decision in after(policy, [5.0] + [0.0] * 20)]
    assert wanted[:10] == [1] * 10
    assert wanted[10:] == [0] * 11


def test_the_first_request_brings_one_back() -> None:
    policy = msgspec.structs.replace(POLICY, least=0)
    waiting = Sample(time=0.0, seconds=1.0, concurrency=0.1, waiting=1)
    assert decide(policy, Memory(), waiting, 0)[0].wanted == 1


def test_a_decision_says_what_made_it() -> None:
    decision = after(msgspec.structs.replace(POLICY, most=2), [100.0] * 60)[-1]
    assert decision.stable == pytest.approx(100.0)
    assert decision.why == "10, and 2 are allowed"


@given(st.lists(amounts, max_size=100), st.integers(0, 5), st.integers(1, 20), st.integers(0, 30))
def test_it_keeps_to_what_is_allowed(loads: list[float], least: int, more: int, ready: int) -> None:
    policy = msgspec.structs.replace(POLICY, least=least, most=least + more)
    assert all(least <= decision.wanted <= least + more for decision in after(policy, loads, ready))


@given(st.lists(amounts, min_size=1, max_size=60))
def test_an_average_lies_between_the_least_and_the_most(loads: list[float]) -> None:
    samples = [Sample(time=float(number), seconds=1.0, concurrency=load) for number, load in enumerate(loads)]
    assert min(loads) - 1e-6 <= average(samples, float(len(loads)), 1000.0) <= max(loads) + 1e-6


@given(st.lists(amounts, max_size=100))
def test_what_is_remembered_is_bounded_by_the_window(loads: list[float]) -> None:
    memory = Memory()
    for second, load in enumerate(loads):
        memory = decide(POLICY, memory, Sample(time=float(second), seconds=1.0, concurrency=load), 1)[1]
    assert len(memory.samples) <= 60
    assert [count for _, count in memory.needs] == sorted({count for _, count in memory.needs}, reverse=True)


def test_of_a_sample_that_began_before_a_window_only_what_is_in_it_counts() -> None:
    quiet, busy = Sample(time=99.0, seconds=60.0, concurrency=0.0), Sample(time=100.0, seconds=1.0, concurrency=60.0)
    assert average([quiet, busy], 100.0, 6.0) == pytest.approx(10.0)
    assert average([quiet, busy], 100.0, 60.0) == pytest.approx(1.0)
