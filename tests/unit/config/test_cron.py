"""Schedules come when crontab(5) says so; where clocks are set, as Debian's cron has it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiffin.config.cron import Cron
from tiffin.errors import ConfigError

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata", "UTC")
"""With clocks that are set at night, at a minute after midnight, by half an hour, at midnight, and never."""
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def comes(schedule: str, after: str, zone: ZoneInfo = BERLIN) -> str:
    found = Cron.parse(schedule).next(at(after, zone), zone)
    return datetime.fromtimestamp(found, zone).strftime("%a %Y-%m-%d %H:%M %Z")


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("0 3 * * *", "2026-11-22 02:59:59", "Sun 2026-11-22 03:00 CET"),
        ("0 3 * * *", "2026-11-22 03:00", "Mon 2026-11-23 03:00 CET"),
        ("*/15 9-17 * * mon-fri", "2026-11-20 17:45", "Mon 2026-11-23 09:00 CET"),
        ("5,35 8 1 JAN,jul *", "2026-07-01 08:05", "Wed 2026-07-01 08:35 CEST"),
        ("0 0 13 * fri", "2026-11-01 00:00", "Fri 2026-11-06 00:00 CET"),
        ("0 0 * * 7", "2026-11-21 00:00", "Sun 2026-11-22 00:00 CET"),
        ("0 0 29 2 *", "2096-03-01 00:00", "Fri 2104-02-29 00:00 CET"),
        ("@weekly", "2026-11-22 00:00", "Sun 2026-11-29 00:00 CET"),
        ("@hourly", "2026-11-22 00:10", "Sun 2026-11-22 01:00 CET"),
        ("10-50/20 ? * * ?", "2026-11-22 00:10", "Sun 2026-11-22 00:30 CET"),
    ],
)
def test_a_schedule_comes_at_its_time(schedule: str, after: str, expected: str) -> None:
    assert comes(schedule, after) == expected


def test_a_fixed_time_that_a_clock_leaves_out_comes_at_the_jump() -> None:
    assert comes("30 2 * * *", "2026-03-28 12:00") == "Sun 2026-03-29 03:00 CEST"
    assert comes("30 2 * * *", "2026-03-29 03:00") == "Mon 2026-03-30 02:30 CEST"


def test_a_fixed_time_that_a_clock_shows_twice_comes_once() -> None:
    assert comes("30 2 * * *", "2026-10-24 12:00") == "Sun 2026-10-25 02:30 CEST"
    assert comes("30 2 * * *", "2026-10-25 02:30") == "Mon 2026-10-26 02:30 CET"


def test_every_hour_is_every_hour_whatever_the_clock_does() -> None:
    cron, now = Cron.parse("30 * * * *"), at("2026-10-25 00:30")
    for _ in range(6):
        then = cron.next(now, BERLIN)
        assert then - now == 3600
        now = then


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("", "it has not five fields"),
        ("0 3 * *", "it has not five fields"),
        ("0 0 3 * * *", "it has not five fields"),
        ("@reboot", "it has not five fields"),
        ("60 3 * * *", "its minute is '60'"),
        ("0 24 * * *", "its hour is '24'"),
        ("0 3 0 * *", "its day of the month is '0'"),
        ("0 3 * 13 *", "its month is '13'"),
        ("0 3 * * 8", "its day of the week is '8'"),
        ("0 3 * * fr", "its day of the week is 'fr'"),
        ("0 3 * * fri-mon", "its day of the week is 'fri-mon'"),
        ("5/15 3 * * *", "its minute is '5/15'"),
        ("*/0 3 * * *", "its minute is '*/0'"),
        ("1,,2 3 * * *", "its minute is ''"),
        ("-1 3 * * *", "its minute is '-1'"),
        ("٣ 3 * * *", "its minute is '٣'"),
        ("0 3 30 2 *", "no year has such a day"),
        ("0 3 31 4,6 *", "no year has such a day"),
        ("0 3 */2 * mon", "Kubernetes for either"),
        ("0 3 1 * */2", "Kubernetes for either"),
    ],
)
def test_what_is_no_schedule_is_refused_with_its_field(schedule: str, why: str) -> None:
    with pytest.raises(ConfigError) as told:
        Cron.parse(schedule)
    assert why in told.value.message
    assert told.value.hint


@st.composite
def fields(draw: st.DrawFn, low: int, high: int) -> tuple[str, frozenset[int]]:
    """A field as text, and the numbers that it means, each made without the reader."""
    kind = draw(st.sampled_from(("star", "steps", "list", "range")))
    if kind == "star":
        return "*", frozenset(range(low, high + 1))
    first = draw(st.integers(low, high))
    last, step = draw(st.integers(first, high)), draw(st.integers(1, 20))
    if kind == "steps":
        return f"{first}-{last}/{step}", frozenset(n for n in range(first, last + 1) if (n - first) % step == 0)
    if kind == "range":
        return f"{first}-{last}", frozenset(range(first, last + 1))
    several = draw(st.lists(st.integers(low, high), min_size=1, max_size=4))
    return ",".join(map(str, several)), frozenset(several)


@st.composite
def schedules(draw: st.DrawFn) -> tuple[str, tuple[frozenset[int], ...]]:
    minute, hour = draw(fields(0, 59)), draw(fields(0, 23))
    day, weekday = draw(fields(1, 31)), draw(fields(0, 6))
    return f"{minute[0]} {hour[0]} {day[0]} * {weekday[0]}", (minute[1], hour[1], day[1], weekday[1])


@cache
def minutes(zone: str, day: date) -> tuple[tuple[float, datetime], ...]:
    """Every minute of four days, and what a clock on the wall shows then."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found = (start + timedelta(minutes=n) for n in range(-1440, 4 * 1440))
    return tuple((each.timestamp(), each.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for each in found)


def by_force(text: str, means: tuple[frozenset[int], ...], zone: str, day: date) -> list[float]:
    """Minute by minute: what crontab(5) says, and Debian's cron where the clock is set."""
    minute, hour, days, weekdays = means
    parts = text.split()
    fixed = parts[0] != "*" and parts[1] != "*"
    either = parts[2] != "*" and parts[4] != "*"

    def is_meant(wall: datetime) -> bool:
        on = wall.day in days, wall.isoweekday() % 7 in weekdays
        return wall.minute in minute and wall.hour in hour and (any(on) if either else all(on))

    found, before = [], minutes(zone, day)[0][1] - timedelta(minutes=1)
    shown = before
    for moment, wall in minutes(zone, day):
        left_out = [shown + timedelta(minutes=n) for n in range(1, int((wall - shown).total_seconds()) // 60)]
        jumped = fixed and wall > before and any(is_meant(each) for each in left_out)
        if jumped or ((not fixed or wall > before) and is_meant(wall)):
            found.append(moment)
        shown, before = wall, max(before, wall)
    return found


SET = (
    date(2026, 3, 29),
    date(2026, 10, 25),
    date(2010, 11, 7),
    date(2010, 3, 14),
    date(2018, 11, 4),
    date(2018, 2, 18),
)
DAYS = (*SET, date(2026, 4, 5), date(2026, 10, 4), date(2024, 2, 28), date(2026, 12, 31))


@settings(max_examples=150, deadline=None)
@given(schedules(), st.sampled_from(ZONES), st.sampled_from(DAYS), st.integers(1500, 5000), st.integers(0, 59))
def test_the_next_and_the_latest_time_are_those_that_counting_minutes_finds(
    schedule: tuple[str, tuple[frozenset[int], ...]], name: str, day: date, minute: int, second: int
) -> None:
    text, means = schedule
    cron, zone, times = Cron.parse(text), ZoneInfo(name), by_force(text, means, name, day)
    now = minutes(name, day)[minute][0] + second
    after = [each for each in times if each > now]
    assert cron.next(now, zone) == after[0] if after else cron.next(now, zone) > minutes(name, day)[-1][0]
    before = [each for each in times if each <= now]
    if before:
        assert cron.latest(now, zone) == before[-1]


@settings(max_examples=100, deadline=None)
@given(schedules(), st.sampled_from(ZONES), st.floats(1e9, 4e9))
def test_the_latest_time_before_the_next_one_is_not_after_now(
    schedule: tuple[str, tuple[frozenset[int], ...]], name: str, now: float
) -> None:
    cron, zone = Cron.parse(schedule[0]), ZoneInfo(name)
    latest, then = cron.latest(now, zone), cron.next(now, zone)
    assert latest <= now < then
    assert cron.next(latest, zone) == then
    assert cron.latest(then, zone) == then
