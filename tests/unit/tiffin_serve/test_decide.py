from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.front.batching.cost import Cost
from tiffin_serve.front.batching.decide import (
    backlog,
    is_hopeless,
    pays_to_wait,
    retry_after,
    rows_in_time,
    seconds_to_live,
)


def costing(fixed: float, each: float) -> Cost:
    cost = Cost()
    cost.fixed, cost.each = fixed, each
    return cost


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 512), st.floats(-1, 100))
def test_a_batch_is_as_large_as_time_allows_and_never_empty(
    fixed: float, each: float, most: int, seconds: float
) -> None:
    cost = costing(fixed, each)
    rows = rows_in_time(cost, most, seconds)
    assert 1 <= rows <= most
    assert rows == 1 or cost.expect(rows) <= seconds + 1e-9 or not each
    assert rows == most or cost.expect(rows + 1) > seconds - 1e-6


def test_unknown_cost_bounds_nothing() -> None:
    assert rows_in_time(Cost(), 64, 0.001) == 64
    assert not is_hopeless(Cost(), 64, 0.001)


def test_what_has_no_time_left_is_hopeless() -> None:
    assert is_hopeless(Cost(), 1, 0)
    assert is_hopeless(costing(0.01, 0), 1, 0.005)
    assert not is_hopeless(costing(0.01, 0), 1, 0.02)


def test_one_client_never_waits_for_itself() -> None:
    assert not pays_to_wait(costing(10, 0), 1, 1, expected=0)


def test_half_of_the_clients_wait_for_the_other_half_where_a_batch_costs_much_at_any_size() -> None:
    assert pays_to_wait(costing(0.015, 0.00005), 32, 32, expected=32)


def test_nobody_waits_where_rows_are_what_costs() -> None:
    assert not pays_to_wait(costing(0.0, 0.001), 32, 32, expected=32)


def test_nobody_waits_where_a_batch_costs_less_than_the_shortest_wait() -> None:
    assert not pays_to_wait(costing(0.0003, 0.0), 8, 8, expected=8)


def test_two_groups_become_one_where_the_other_comes_sooner_than_a_batch_costs() -> None:
    assert pays_to_wait(costing(0.0003, 0.0), 8, 8, expected=8, wait=0.0002)
    assert not pays_to_wait(costing(0.0003, 0.0), 8, 8, expected=8, wait=0.001)
    assert not pays_to_wait(costing(0.0003, 0.0), 8, 8, expected=3, wait=0.0002)


def test_many_do_not_wait_for_one() -> None:
    assert not pays_to_wait(costing(0.015, 0.0), 60, 60, expected=1)


@given(st.integers(0, 1000), st.integers(1, 64))
def test_a_backlog_grows_with_its_rows(rows: int, most: int) -> None:
    cost = costing(0.01, 0.001)
    assert backlog(cost, rows, most) <= backlog(cost, rows + 1, most)


@pytest.mark.parametrize(("seconds", "told"), [(-1, 1), (0, 1), (0.2, 1), (1.2, 2), (7, 7), (1e9, 60), (inf, 60)])
def test_the_time_to_come_again_is_whole_seconds_and_at_least_one(seconds: float, told: int) -> None:
    assert retry_after(seconds) == told


def test_a_single_call_has_all_its_patience_and_many_a_quarter_unless_that_is_little_for_them() -> None:
    assert seconds_to_live(0.01, 1, 0, 30) == 30
    assert seconds_to_live(0.01, 64, 0, 30) == 7.5
    assert seconds_to_live(1.0, 64, 0, 30) == 20
    assert seconds_to_live(10.0, 64, 0, 30) == 30
    assert seconds_to_live(0.0, 64, 0, 30) == 30


def test_halving_a_batch_that_hangs_ends_before_the_patience_of_the_innocent() -> None:
    assert sum(seconds_to_live(0.001, 2**level, 6 - level, 30) for level in range(6, -1, -1)) < 16
