"""When a run is due is decided without a clock: missed schedules, new data, clocks that are set, runs cut off."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.config.cron import Cron
from tiffin.pipeline.running.runs import RunState
from tiffin.pipeline.watching.triggers import (
    SET_BACK,
    Begun,
    Due,
    Reason,
    Sight,
    Triggers,
    Wait,
    due,
    ended,
    first,
    kept,
)

NIGHTLY = Triggers(schedule=Cron.parse("0 3 * * *"), zone=UTC)
ROWS = Triggers(zone=UTC, watch=("rows",))
BOTH = Triggers(schedule=Cron.parse("0 3 * * *"), zone=UTC, watch=("rows", "base"))
DAY = 86400.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOON = at("2026-11-22 12:00")


def done(reason: Reason | None) -> Begun:
    """What is remembered when the run that is due has ended well."""
    assert isinstance(reason, Due)
    return ended(reason.begun, RunState.SUCCEEDED)


def sight(digest: str) -> dict[str, Sight]:
    return {"rows": Sight(digest=digest)}


def test_a_time_that_was_before_anybody_watched_is_not_caught_up() -> None:
    assert due(NIGHTLY, first(NIGHTLY, NOON), NOON + 1, {}) is None


def test_a_schedule_comes_once() -> None:
    begun = first(NIGHTLY, NOON)
    assert due(NIGHTLY, begun, at("2026-11-23 02:59:59"), {}) is None
    reason = due(NIGHTLY, begun, at("2026-11-23 03:00:07"), {})
    assert isinstance(reason, Due)
    assert reason.why == "it was due at 2026-11-23 03:00 +0000"
    assert due(NIGHTLY, done(reason), at("2026-11-24 02:59"), {}) is None
    assert isinstance(due(NIGHTLY, done(reason), at("2026-11-24 03:00"), {}), Due)


def test_ten_nights_that_were_slept_through_are_caught_up_by_one_run() -> None:
    reason = due(NIGHTLY, first(NIGHTLY, NOON), NOON + 10 * DAY, {})
    assert due(NIGHTLY, done(reason), NOON + 10 * DAY + 1, {}) is None


def test_a_time_that_comes_while_a_run_goes_has_one_run_after_it() -> None:
    reason = due(NIGHTLY, first(NIGHTLY, NOON), at("2026-11-23 03:00"), {})
    long = due(NIGHTLY, done(reason), at("2026-11-25 14:00"), {})
    assert due(NIGHTLY, done(long), at("2026-11-25 14:01"), {}) is None


def test_a_clock_that_is_set_back_by_an_hour_does_not_bring_a_schedule_twice() -> None:
    begun = done(due(NIGHTLY, first(NIGHTLY, NOON), at("2026-11-23 03:00:01"), {}))
    for time in ("2026-11-23 02:10", "2026-11-23 03:00"):
        assert due(NIGHTLY, kept(NIGHTLY, begun, at(time)), at(time), {}) is None
    assert isinstance(due(NIGHTLY, kept(NIGHTLY, begun, NOON + DAY * 2), NOON + DAY * 2, {}), Due)


def test_a_clock_that_was_years_ahead_does_not_silence_a_schedule() -> None:
    begun = done(due(NIGHTLY, first(NIGHTLY, NOON), NOON + 3650 * DAY, {}))
    begun = kept(NIGHTLY, begun, NOON)
    assert due(NIGHTLY, begun, NOON, {}) is None
    assert isinstance(due(NIGHTLY, begun, NOON + DAY, {}), Due)


def test_a_schedule_that_is_written_anew_comes_for_the_first_time_after_that() -> None:
    begun = first(NIGHTLY, NOON)
    hourly = Triggers(schedule=Cron.parse("@hourly"), zone=UTC)
    begun = kept(hourly, begun, NOON + 1800)
    assert due(hourly, begun, NOON + 1801, {}) is None
    assert isinstance(due(hourly, begun, NOON + 3600, {}), Due)


def test_data_that_nobody_was_run_for_is_new() -> None:
    reason = due(ROWS, first(ROWS, NOON), NOON, sight("a"))
    assert isinstance(reason, Due)
    assert reason.why == "rows is new"
    assert due(ROWS, done(reason), NOON + 1, sight("a")) is None


def test_data_that_changes_several_times_in_a_run_has_one_run_after_it() -> None:
    begun = done(due(ROWS, first(ROWS, NOON), NOON, sight("a")))
    reason = due(ROWS, begun, NOON + 60, sight("d"))
    assert isinstance(reason, Due)
    assert reason.why == "rows has changed"
    assert due(ROWS, done(reason), NOON + 61, sight("d")) is None


def test_data_is_waited_for_until_it_is_still() -> None:
    begun = done(due(ROWS, first(ROWS, NOON), NOON, sight("a")))
    assert due(ROWS, begun, NOON, {"rows": Sight(unsettled=3.5)}) == Wait(name="rows", seconds=3.5)


def test_data_that_is_gone_is_no_reason_and_the_same_data_again_is_none_either() -> None:
    begun = done(due(ROWS, first(ROWS, NOON), NOON, sight("a")))
    assert due(ROWS, begun, NOON, {"rows": Sight()}) is None
    assert due(ROWS, begun, NOON, sight("a")) is None


def test_a_schedule_does_not_wait_for_data_that_never_is_still_and_data_is_not_forgotten_for_it() -> None:
    restless = {"rows": Sight(unsettled=5), "base": Sight(digest="1")}
    begun = Begun(at=NOON, schedule="0 3 * * *", scheduled=NOON, data={"rows": "a", "base": "1"}, over=True)
    reason = due(BOTH, begun, NOON + DAY, restless)
    assert done(reason).data == {"rows": "a", "base": "1"}
    assert isinstance(due(BOTH, done(reason), NOON + DAY, {"rows": Sight(digest="b"), "base": Sight(digest="1")}), Due)


def test_all_that_is_due_at_once_is_one_run() -> None:
    data = {"rows": Sight(digest="b"), "base": Sight(digest="2")}
    begun = Begun(at=NOON, schedule="0 3 * * *", scheduled=NOON, data={"rows": "a"}, over=True)
    reason = due(BOTH, begun, NOON + DAY, data)
    assert isinstance(reason, Due)
    assert reason.why == "it was due at 2026-11-23 03:00 +0000; rows has changed; base is new"
    assert due(BOTH, done(reason), NOON + DAY, data) is None


@pytest.mark.parametrize(
    ("ran", "why"),
    [
        (None, "the run before did not begin"),
        (RunState.KILLED, "the run before was killed"),
        (RunState.STOPPED, "the run before was stopped"),
        (RunState.SUCCEEDED, ""),
        (RunState.FAILED, ""),
        (RunState.RUNNING, ""),
    ],
)
def test_a_run_that_did_not_come_to_its_end_goes_on(ran: RunState | None, why: str) -> None:
    reason = due(ROWS, first(ROWS, NOON), NOON, sight("a"))
    assert isinstance(reason, Due)
    again = due(ROWS, reason.begun, NOON + 1, sight("a"), ran)
    assert (again.why if isinstance(again, Due) else "") == why


def test_a_run_that_failed_is_not_tried_again_until_something_is_new() -> None:
    reason = due(ROWS, first(ROWS, NOON), NOON, sight("a"))
    assert isinstance(reason, Due)
    begun = ended(reason.begun, RunState.FAILED)
    assert due(ROWS, begun, NOON + DAY, sight("a")) is None
    assert isinstance(due(ROWS, begun, NOON + DAY, sight("b")), Due)


def test_what_is_remembered_is_read_back_as_it_was() -> None:
    begun = Begun(at=1.5, why="é", schedule="@daily", scheduled=2.0, data={"rows": "sha256:1"}, place="/a", after="b")
    assert msgspec.json.decode(msgspec.json.encode(begun), type=Begun) == begun


HAPPENS = st.one_of(
    st.tuples(st.just("later"), st.floats(0, 3 * DAY)),
    st.tuples(st.just("set"), st.floats(-SET_BACK, SET_BACK)),
    st.tuples(st.just("data"), st.sampled_from("abc")),
    st.tuples(st.just("killed"), st.sampled_from((None, *RunState))),
)


@given(st.lists(HAPPENS, max_size=30))
def test_whatever_happens_looking_again_finds_nothing_and_no_data_is_left_behind(
    happens: list[tuple[str, Any]],
) -> None:
    triggers = Triggers(schedule=Cron.parse("*/20 3,4 * * *"), zone=UTC, watch=("rows",))
    now, data, begun = NOON, "a", first(triggers, NOON)
    for kind, value in happens:
        ran: RunState | None = RunState.SUCCEEDED
        if kind in {"later", "set"}:
            now += value
        elif kind == "data":
            data = value
        else:
            ran = value
        begun = kept(triggers, begun, now)
        reason = due(triggers, begun, now, sight(data))
        if isinstance(reason, Due):
            begun = ended(reason.begun, ran)
        finished = ran in {RunState.SUCCEEDED, RunState.FAILED}
        again = due(triggers, begun, now, sight(data), ran)
        going_on = isinstance(reason, Due) and not finished and ran is not RunState.RUNNING
        assert isinstance(again, Due) == going_on
        begun = ended(begun, RunState.SUCCEEDED)
        assert begun.data == {"rows": data}
