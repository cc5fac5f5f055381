"""Which revision a request goes to: shares come out as they are said, and only what must move moves."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.front.routing.choice import POINTS, Shares, point_of

weights = st.dictionaries(
    st.integers(1, 99).map(str), st.one_of(st.just(0.0), st.floats(0.01, 1000)), min_size=1, max_size=5
)


@given(weights)
def test_each_revision_has_as_many_points_as_its_weight_says(each: dict[str, float]) -> None:
    shares, total = Shares(each), sum(each.values())
    if not total:
        assert shares.at(0) == ""
        return
    found = Counter(shares.at(point) for point in range(POINTS))
    for number, weight in each.items():
        assert abs(found[number] - POINTS * weight / total) <= 1 + 1e-6
        assert found[number] == 0 or weight > 0


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, POINTS - 1))
def test_more_for_a_canary_moves_requests_to_it_and_none_away(one: float, other: float, point: int) -> None:
    less, more = sorted((one, other))
    before, after = (Shares({"3": 100 - weight, "4": weight}).at(point) for weight in (less, more))
    assert (before, after) in {("3", "3"), ("3", "4"), ("4", "4")}


@given(weights, st.floats(0.01, 1000), st.integers(0, POINTS - 1))
def test_more_for_the_newest_moves_no_request_to_an_older_one(each: dict[str, float], more: float, point: int) -> None:
    newest = max(each, key=int)
    before, after = Shares(each).at(point), Shares({**each, newest: each[newest] + more}).at(point)
    assert not before or int(before) <= int(after)


@given(st.binary(max_size=16), st.binary(max_size=64))
def test_a_name_has_one_point(salt: bytes, name: bytes) -> None:
    assert point_of(salt, name) == point_of(salt, name)
    assert 0 <= point_of(salt, name) < POINTS


def test_names_are_spread_evenly_and_otherwise_with_another_salt() -> None:
    shares = Shares({"3": 90, "4": 10})
    chosen = [[shares.at(point_of(salt, b"%d" % n)) for n in range(10_000)] for salt in (b"a", b"b")]
    for each in chosen:
        assert 850 < each.count("4") < 1150
    assert chosen[0] != chosen[1]
