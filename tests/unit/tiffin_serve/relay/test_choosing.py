"""Which replica a connection goes to."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.relay.choosing import Shares, fewest

WEIGHTS = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(0, 100), min_size=1)


@given(WEIGHTS.filter(lambda weights: sum(weights.values()) > 0))
def test_each_gets_its_share_exactly_once_around(weights: dict[str, int]) -> None:
    shares = Shares()
    chosen = Counter(shares.choose({name: float(weight) for name, weight in weights.items()}) for _ in range(200))
    total = sum(weights.values())
    for name, weight in weights.items():
        assert abs(chosen[name] - 200 * weight / total) <= len(weights)


@given(WEIGHTS)
def test_somebody_is_always_chosen_of_those_that_there_are(weights: dict[str, int]) -> None:
    assert Shares().choose({name: float(weight) for name, weight in weights.items()}) in weights


def test_of_ten_percent_every_tenth_comes_there() -> None:
    shares = Shares()
    order = [shares.choose({"old": 90.0, "new": 10.0}) for _ in range(100)]
    at = [number for number, name in enumerate(order) if name == "new"]
    assert {later - earlier for earlier, later in pairwise(at)} == {10}


def test_one_that_was_away_is_owed_nothing() -> None:
    shares = Shares()
    for _ in range(50):
        shares.choose({"old": 50.0})
    chosen = Counter(shares.choose({"old": 50.0, "new": 50.0}) for _ in range(10))
    assert chosen == {"old": 5, "new": 5}


def test_the_fewest_connections_win_and_equals_take_turns() -> None:
    assert fewest({"a": 2, "b": 1}, {}) == "b"
    assert fewest({"a": 1, "b": 1}, {"a": 7, "b": 3}) == "b"
