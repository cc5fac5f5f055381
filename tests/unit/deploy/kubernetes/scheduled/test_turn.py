"""Whose turn it is, decided of what a Lease says and how long it has said so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tiffin.deploy.kubernetes.scheduled.turn import Turn, giving_back, is_free, is_renewed, read_turn, taking

turns = st.builds(
    Turn,
    holder=st.sampled_from(["", "first", "second"]),
    seconds=st.integers(1, 3600),
    renewed=st.integers(0, 10**9).map(float),
    taken=st.integers(0, 100),
    version=st.just("7"),
)
moments = st.floats(0, 4e9)


@given(turns, st.floats(0, 10**4))
def test_a_turn_is_free_that_is_nobodys_mine_or_unchanged_for_its_time_whatever_its_clock_says(
    turn: Turn, unchanged: float
) -> None:
    assert is_free(turn, "first", unchanged) == (turn.holder != "second" or unchanged >= turn.seconds)


@given(turns, moments)
def test_what_is_taken_is_read_as_it_was_written(turn: Turn, now: float) -> None:
    change = taking(turn, "first", 60, now)
    assert change["metadata"] == {"resourceVersion": "7"}
    spec = {"leaseTransitions": turn.taken, **change["spec"]}
    read = read_turn({"metadata": {"resourceVersion": "8"}, "spec": spec})
    assert (read.holder, read.seconds, read.version) == ("first", 60, "8")
    assert abs(read.renewed - now) < 0.001
    assert read.taken == turn.taken + (turn.holder != "first")
    assert is_renewed(read, now + 59)
    assert not is_renewed(read, now + 61)


def test_a_lease_that_says_nothing_is_nobodys() -> None:
    nothing = Turn(version="1")
    assert read_turn({"metadata": {"resourceVersion": "1"}}) == nothing
    odd = {"holderIdentity": None, "leaseDurationSeconds": None, "renewTime": "soon", "leaseTransitions": None}
    assert read_turn({"metadata": {"resourceVersion": "1"}, "spec": odd}) == nothing
    assert is_free(nothing, "me", 0)
    assert giving_back(nothing)["spec"] == {"holderIdentity": "", "renewTime": None}


def test_a_holder_that_does_not_say_how_long_has_no_turn() -> None:
    assert is_free(Turn(holder="other"), "me", 0)
