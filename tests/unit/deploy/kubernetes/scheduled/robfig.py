"""Schedules as kube-controller-manager reads them (robfig/cron v3: `parser.go`, `SpecSchedule.dayMatches`)."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
_MONTHS |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}


class Read(NamedTuple):
    """The numbers of each field, and whether it has the star bit."""

    fields: list[set[int]]
    stars: list[bool]

    def is_on(self, day: date) -> bool:
        """Whether any time of a day is meant."""
        if day.month not in self.fields[3]:
            return False
        matches = day.day in self.fields[2], day.isoweekday() % 7 in self.fields[4]
        return all(matches) if self.stars[2] or self.stars[4] else any(matches)


def read(text: str) -> Read:
    """Read five fields; raises ValueError for what it does not take."""
    parts = text.split()
    if len(parts) != len(_BOUNDS):
        raise ValueError(text)
    names = ({}, {}, {}, _MONTHS, _DAYS)
    found = [_field(part, *bounds, named) for part, bounds, named in zip(parts, _BOUNDS, names, strict=True)]
    return Read([numbers for numbers, _ in found], [star for _, star in found])


def _field(part: str, low: int, high: int, named: dict[str, int]) -> tuple[set[int], bool]:
    numbers: set[int] = set()
    star = False
    for item in part.split(","):
        more, starred = _range(item, low, high, named)
        numbers, star = numbers | more, star or starred
    return numbers, star


def _range(item: str, low: int, high: int, named: dict[str, int]) -> tuple[set[int], bool]:
    span, slash, by = item.partition("/")
    begin, dash, end = span.partition("-")
    step = int(by) if slash else 1
    star = begin in {"*", "?"} and step == 1
    if begin in {"*", "?"}:
        first, last = low, high
    else:
        first = _number(begin, named)
        last = _number(end, named) if dash else high if slash else first
    if first < low or last > high or first > last or step <= 0:
        raise ValueError(item)
    return set(range(first, last + 1, step)), star


def _number(word: str, named: dict[str, int]) -> int:
    return named[word.lower()] if word.lower() in named else int(word)
