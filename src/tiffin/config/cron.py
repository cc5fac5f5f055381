"""When a schedule of cron's five fields comes, in a time zone. Pure.

Read as crontab(5) says, and only what Kubernetes' CronJob reads alike. Where clocks are set forward or back it is as in
Debian's cron: a schedule of fixed times comes once a day, at the jump where its hour is left out and the first time
where it comes twice; one whose minute or hour begins with `*` follows the clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise

import msgspec

from tiffin.errors import ConfigError

NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
_MONTHS |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
_WEEKDAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM = re.compile(r"(?:(?P<star>[*?])|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)
_STAR = re.compile(r"[*?](?:/0*1)?")
_FARTHEST = 8 * 366 + 2
"""Days in which every schedule comes: from one 29 February to the next there may be eight years."""
_DAY = timedelta(days=1)
_ANY_DAY = date(2024, 2, 29)
"""Where days are counted from: every schedule comes twice within the farthest of it."""


class _Field(msgspec.Struct, frozen=True):
    name: str
    low: int
    high: int
    names: Mapping[str, int] = {}


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _WEEKDAYS),
)


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule: the minutes, hours and days at which it comes.

    `either` says that one of the two kinds of days is enough; `fixed` that it names times of the day.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    fixed: bool

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read a schedule; raises ConfigError that says which field is wrong, and how it is written."""
        parts = NAMED.get(text.lower(), text).lower().split()
        if len(parts) != len(_FIELDS):
            raise _wrong(
                text, "it has not five fields", 'write it as "0 3 * * *" (minute hour day month weekday) or @daily'
            )
        minutes, hours, days, months, weekdays = (
            _numbers(part, field, text) for part, field in zip(parts, _FIELDS, strict=True)
        )
        if not any(min(days) <= _LENGTHS[month - 1] for month in months) and parts[4][0] in "*?":
            raise _wrong(text, "no year has such a day", "name a day that the month has")
        _refuse_two_meanings(text, parts)
        return cls(
            text=text,
            minutes=minutes,
            hours=hours,
            days=days,
            months=months,
            weekdays=frozenset(day % 7 for day in weekdays),
            either=parts[2][0] not in "*?" and parts[4][0] not in "*?",
            fixed=parts[0][0] not in "*?" and parts[1][0] not in "*?",
        )

    def next(self, after: float, zone: tzinfo) -> float:
        """The first time after this one, both in seconds since 1970."""
        day = datetime.fromtimestamp(after, zone).date() - _DAY
        return min(self._near(day, _DAY, zone, lambda at: at > after))

    def latest(self, now: float, zone: tzinfo) -> float:
        """The last time that is not after this one."""
        day = datetime.fromtimestamp(now, zone).date() + _DAY
        return max(self._near(day, -_DAY, zone, lambda at: at <= now))

    def gaps(self) -> tuple[int, int]:
        """The shortest and the longest time between one time and the next, in seconds of a clock that nobody sets."""
        times = sorted(hour * 3600 + minute * 60 for hour in self.hours for minute in self.minutes)
        days = [number for number in range(_FARTHEST) if self._is_on(_ANY_DAY + number * _DAY)]
        within = {later - earlier for earlier, later in pairwise(times)}
        between = {(later - earlier) * 86400 + times[0] - times[-1] for earlier, later in pairwise(days)}
        return min(within | between), max(within | between)

    def _near(self, day: date, step: timedelta, zone: tzinfo, right: Callable[[float], bool]) -> list[float]:
        """The right times of the first day that has any, and of the one behind: a clock set at midnight mixes them."""
        for _ in range(_FARTHEST):
            if found := self._times(day, zone, right):
                return found + self._times(day + step, zone, right)
            day += step
        raise AssertionError(f"{self.text} never comes, and was not refused")

    def _is_on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        found = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return any(found) if self.either else all(found)

    def _times(self, day: date, zone: tzinfo, right: Callable[[float], bool]) -> list[float]:
        if not self._is_on(day):
            return []
        times = (time(hour, minute, tzinfo=zone) for hour in self.hours for minute in self.minutes)
        walls = (datetime.combine(day, each) for each in times)
        return [found for wall in walls for found in _moments(wall, fixed=self.fixed) if right(found)]


def _moments(wall: datetime, *, fixed: bool) -> Iterator[float]:
    """When a clock on the wall shows this: once, or where it is set back twice, or where it is set forward never."""
    first, second = wall.replace(fold=0).timestamp(), wall.replace(fold=1).timestamp()
    if second >= first:
        yield from {first, first if fixed else second}
    elif fixed:
        yield _jump(int(second), int(first), wall.tzinfo)


def _jump(before: int, after: int, zone: tzinfo | None) -> float:
    """When the clock is set, between two times."""
    old = datetime.fromtimestamp(before, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return float(after)


def _numbers(part: str, field: _Field, text: str) -> frozenset[int]:
    """The numbers that a field names."""
    found: set[int] = set()
    for item in part.split(","):
        read = _ITEM.fullmatch(item)
        if not read:
            raise _wrong(
                text, f"its {field.name} is {item!r}", "a field is *, 5, 1-5, */15, mon-fri, or several with commas"
            )
        found |= _range(read, field, text)
    return frozenset(found)


def _range(read: re.Match[str], field: _Field, text: str) -> set[int]:
    item, step = read[0], int(read["step"] or 1)
    if read["star"]:
        low, high = field.low, field.high if field.high != 7 else 6  # noqa: PLR2004 - 7 is Sunday once more
    else:
        low = _number(read["low"], field, text)
        high = _number(read["high"], field, text) if read["high"] else low
        if read["step"] and not read["high"]:
            raise _wrong(text, f"its {field.name} is {item!r}", f"write {low}-{field.high}/{step}")
    if low > high or not step:
        raise _wrong(
            text, f"its {field.name} is {item!r}", "a range goes up, and a step is at least 1; write two with a comma"
        )
    return set(range(low, high + 1, step))


def _number(word: str, field: _Field, text: str) -> int:
    number = field.names.get(word, int(word) if word.isdigit() else -1)
    if not field.low <= number <= field.high:
        raise _wrong(text, f"its {field.name} is {word!r}", f"it is between {field.low} and {field.high}")
    return number


def _refuse_two_meanings(text: str, parts: list[str]) -> None:
    """Refuse days that cron takes together and Kubernetes one by one, such as `0 3 */2 * mon`."""
    days = parts[2], parts[4]
    stepped = [part for part in days if part[0] in "*?"]
    if stepped and not any(map(has_star, days)):
        raise _wrong(
            text,
            f"cron takes {stepped[0]!r} beside the other day for both at once, Kubernetes for either of them",
            "write one of the two as *",
        )


def has_star(field: str) -> bool:
    """Whether Kubernetes takes a field for one that leaves its days open: any of its parts is `*`, and not `*/2`."""
    return any(_STAR.fullmatch(part) for part in field.split(","))


def _wrong(text: str, why: str, hint: str) -> ConfigError:
    return ConfigError(f"{text!r} is no schedule: {why}", hint)


def said(at: float, zone: tzinfo = UTC) -> str:
    """A time as people read it, with what it is ahead of UTC."""
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M %z")
