"""What a front is told: shares that sum to 100, whatever is changed, and a file that is there whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.deploy.local.table import Entry, Lane, Table, Told, follows, read_table, write_table
from tiffin.oci.documents import encode

EMPTY = Table(service="iris", salt="ab", poke="../poke.sock")


def entry(number: int) -> Entry:
    return Entry(folder=str(number), token="t", image="sha256:0")  # noqa: S106 - of a test


def total(table: Table) -> float:
    return sum(one.weight for one in table.revisions.values())


@given(st.lists(st.tuples(st.sampled_from(["open", "close", "sleep", "wake", "drop"]), st.integers(1, 4)), max_size=30))
def test_shares_are_whole_whatever_comes_and_goes(changes: list[tuple[str, int]]) -> None:
    table = EMPTY
    for change, number in changes:
        there = table.revisions.get(str(number))
        if change == "open":
            table = table.opened(number, entry(number)) if there is None else table
        elif there and change == "close":
            table = table.closing(number)
        elif there and change in {"sleep", "wake"} and there.state != "closing":
            table = table.asleep(number, on=change == "sleep")
        elif there and there.state == "closing":
            table = table.without(number)
        if any(one.state != "closing" for one in table.revisions.values()):
            assert total(table) == pytest.approx(100)
        assert all(one.weight == 0 for one in table.revisions.values() if one.state == "closing")


def test_one_more_gets_requests_when_it_is_given_a_share_and_the_rest_keep_theirs() -> None:
    table = EMPTY.opened(1, entry(1)).opened(2, entry(2))
    assert [one.weight for one in table.revisions.values()] == [100.0, 0.0]
    shared = table.shifted({1: 90.0, 2: 10.0}).opened(3, entry(3))
    assert [one.weight for one in shared.revisions.values()] == [90.0, 10.0, 0.0]
    assert [one.weight for one in shared.closing(1).revisions.values()] == [0.0, 100.0, 0.0]


def test_it_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    assert read_table(tmp_path) is None
    table = EMPTY.opened(1, entry(1)).asleep(1, on=True)
    write_table(tmp_path, table)
    assert read_table(tmp_path) == table
    assert (tmp_path / "table.json").stat().st_mode & 0o777 == 0o600, "it has the workers' token"
    assert b'"state":"asleep"' in encode(table)


@pytest.mark.parametrize(
    ("said", "does"),
    [
        (Lane(weight=100.0), True),
        (Lane(weight=90.0), False),
        (Lane(weight=100.0, state="asleep"), False),
        (Lane(weight=100.0, state="closing"), False),
    ],
)
def test_a_front_that_does_otherwise_is_known(said: Lane, does: bool) -> None:  # noqa: FBT001 - a parameter
    table = EMPTY.opened(1, entry(1))
    assert follows(Told(revisions={"1": said}), table) is does
    assert not follows(Told(revisions={"1": said, "2": Lane()}), table)
    assert not follows(Told(), table)


def test_one_that_a_request_has_woken_and_one_that_has_finished_do_as_they_should() -> None:
    asleep = EMPTY.opened(1, entry(1)).asleep(1, on=True)
    assert follows(Told(revisions={"1": Lane(weight=100.0, state="awake")}), asleep)
    closing = EMPTY.opened(1, entry(1)).closing(1)
    assert follows(Told(revisions={"1": Lane(weight=0.0, state="closed")}), closing)
