"""When a container is started again: docker's rules."""

from __future__ import annotations

import pytest

from tiffin.engine.embedded.again import LONGEST, Restarts


def pauses(policy: str, tries: int, *ends: tuple[int, float]) -> list[float | None]:
    restarts = Restarts(policy, tries)
    return [restarts.after(code, ran) for code, ran in ends]


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_whatever_the_end_it_is_started_again(policy: str) -> None:
    assert pauses(policy, 0, (0, 1), (1, 1), (137, 1)) == [0.1, 0.2, 0.4]


def test_with_no_policy_it_stays_as_it_is() -> None:
    assert pauses("no", 0, (0, 1), (1, 100)) == [None, None]


def test_only_a_failure_is_tried_again_and_only_so_often() -> None:
    assert pauses("on-failure", 0, (0, 1)) == [None]
    assert pauses("on-failure", 2, (1, 1), (1, 1), (1, 1)) == [0.1, 0.2, None]


def test_the_pause_doubles_up_to_a_minute() -> None:
    found = pauses("always", 0, *[(1, 1.0)] * 12)
    assert found[-3:] == [51.2, LONGEST, LONGEST]


def test_one_that_ran_for_ten_seconds_begins_anew() -> None:
    assert pauses("always", 0, (1, 1), (1, 1), (1, 10), (1, 9)) == [0.1, 0.2, 0.1, 0.2]
