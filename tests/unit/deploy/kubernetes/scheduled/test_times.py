"""A CronJob comes when our own watcher does, and catches up once what was missed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tiffin.config.cron import Cron
from tiffin.deploy.kubernetes.scheduled.times import differences, times_every, times_of
from tiffin.errors import ConfigError
from unit.deploy.kubernetes.scheduled.robfig import read

HOUR, DAY = 3600, 86400
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def _items(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    stepped = st.tuples(st.one_of(span, st.just("*")), st.integers(1, 9)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    return st.one_of(st.just("*"), st.just("?"), number.map(str), span, stepped)


_fields = [st.lists(_items(*bounds), min_size=1, max_size=3).map(",".join) for bounds in _BOUNDS]
texts = st.tuples(*_fields).map(" ".join)


def parsed(text: str) -> Cron:
    try:
        return Cron.parse(text)
    except ConfigError:
        assume(condition=False)
        raise


@settings(max_examples=50, deadline=None)
@example("0 3 1 * *,7")
@example("0 3 5,*/1 * mon")
@example("0 3 */1 * mon")
@example("0 3 */2 * 5,*")
@example("0 3 1-9 * 5-7")
@given(texts)
def test_a_cron_job_comes_on_the_days_and_at_the_times_of_the_same_schedule(text: str) -> None:
    cron = parsed(text)
    theirs = read(times_of(cron, "").schedule)
    assert (theirs.fields[0], theirs.fields[1]) == (cron.minutes, cron.hours)
    first = date(2027, 1, 1)
    for number in range(400):
        day = first + timedelta(days=number)
        assert theirs.is_on(day) == cron._is_on(day), day


@settings(max_examples=50, deadline=None)
@given(texts)
def test_the_shortest_and_the_longest_gap_are_between_times_that_follow_each_other(text: str) -> None:
    cron = parsed(text)
    shortest, longest = cron.gaps()
    at = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    for _ in range(6):
        after = cron.next(at, UTC)
        following = cron.next(after, UTC)
        assert shortest <= following - after <= longest
        at = after


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("0 3 * * mon-fri", "0 3 * * mon-fri"),
        ("@Weekly", "0 0 * * 0"),
        ("0 3 * * 7", "0 3 * * 0"),
        ("0 3 * * fri,7", "0 3 * * 0,5"),
        ("0 3 * * 5-7", "0 3 * * 0,5,6"),
        ("7,17 3 17 7 *", "7,17 3 17 7 *"),
        ("0 3 1,* * mon", "0 3 " + ",".join(map(str, range(1, 32))) + " * mon"),
        ("*,5 3 ? * ?", "* 3 * * *"),
    ],
)
def test_a_schedule_is_left_as_it_was_written_where_a_cron_job_reads_it_alike(text: str, schedule: str) -> None:
    assert times_of(Cron.parse(text), "").schedule == schedule


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("0 3 * * *", DAY + HOUR),
        ("0 3 * * mon-fri", 3 * DAY + HOUR),
        ("0 * * * *", 2 * HOUR),
        ("*/5 * * * *", 300 + HOUR),
        ("* * * * *", 61 * 60),
        ("0 3 29 2 *", 1461 * DAY + HOUR),
        ("*/5 9-17 * * mon-fri", 90 * 300),
    ],
)
def test_the_last_time_that_was_missed_is_caught_up_and_never_more_than_ninety_are_looked_at(
    text: str, window: int
) -> None:
    assert times_of(Cron.parse(text), "").window == window


@settings(max_examples=50, deadline=None)
@given(texts)
def test_a_window_has_less_than_a_hundred_times_in_it(text: str) -> None:
    cron = parsed(text)
    assert times_of(cron, "").window <= 90 * cron.gaps()[0]


def test_what_a_cron_job_does_otherwise_is_told() -> None:
    daily, office = Cron.parse("30 2 * * *"), Cron.parse("*/5 9-17 * * mon-fri")
    assert [*differences(daily, times_of(daily, ""))] == []
    [clocks] = differences(daily, times_of(daily, "Europe/Berlin"))
    assert "leaves out a time that does not exist, and runs twice at one that comes twice" in clocks
    [late] = differences(office, times_of(office, "Europe/Berlin"))
    assert "caught up within 450 minutes, and not later" in late


@pytest.mark.parametrize(
    ("minutes", "schedule"),
    [
        (1, "*/1 * * * *"),
        (15, "*/15 * * * *"),
        (60, "0 */1 * * *"),
        (240, "0 */4 * * *"),
        (1440, "0 0 * * *"),
    ],
)
def test_data_is_looked_at_all_day_at_the_same_distance(minutes: int, schedule: str) -> None:
    assert read(times_every(minutes).schedule) == read(schedule)


@pytest.mark.parametrize("minutes", [-5, 0, 7, 45, 90, 300, 2880])
def test_a_distance_that_does_not_divide_the_day_is_refused(minutes: int) -> None:
    with pytest.raises(ConfigError, match=f"every {minutes} minutes") as caught:
        times_every(minutes)
    assert "5, 10, 15, 30, 60, 120" in str(caught.value.hint)
