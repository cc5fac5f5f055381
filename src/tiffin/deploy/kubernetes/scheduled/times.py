"""A schedule of ours in the words of a CronJob, and how late one of its times may still be caught up. Pure.

Source: robfig/cron v3, `parser.go` and `spec.go`, by which kube-controller-manager reads schedules; Kubernetes'
`pkg/controller/cronjob/utils.go`, which counts the times that were missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from tiffin.config.cron import NAMED, Cron, has_star
from tiffin.errors import ConfigError

UTC = "Etc/UTC"
_MOST_MISSED = 90
"""By its documentation a CronJob that missed more than 100 times starts none; its window stays well below them."""
_SLACK = 3600
"""Seconds by which a gap is longer where clocks are set back."""
_HOUR, _DAY = 60, 1440


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """When a CronJob comes: its `schedule` in a `zone`, and the `window`, in seconds, in which a missed time counts."""

    schedule: str
    zone: str = UTC
    window: int = _SLACK


def times_of(cron: Cron, zone: str) -> Times:
    """The times of a schedule; the last one that was missed is in the window, if that is not more than 90 times."""
    shortest, longest = cron.gaps()
    window = min(longest + _SLACK, _MOST_MISSED * shortest)
    return Times(schedule=_written(cron), zone=zone or UTC, window=window)


def times_every(minutes: int) -> Times:
    """Times at the same distance all day; raises ConfigError for one that no schedule of five fields says."""
    hours = minutes // _HOUR
    if 0 < minutes < _HOUR and not _HOUR % minutes:
        text = f"*/{minutes} * * * *"
    elif minutes > 0 and not minutes % _HOUR and not _DAY % minutes:
        text = f"0 */{hours} * * *" if minutes < _DAY else "0 0 * * *"
    else:
        hint = "an hour, or a day, has to be a multiple of it: 5, 10, 15, 30, 60, 120"
        raise ConfigError(f"no schedule comes every {minutes} minutes", hint)
    return times_of(Cron.parse(text), UTC)


def differences(cron: Cron, times: Times) -> Iterator[str]:
    """What is otherwise on a cluster than under `tiffin pipeline watch`, though it is the same schedule."""
    longest = cron.gaps()[1]
    if times.window < longest:
        yield (
            f"a time that was missed is caught up within {times.window // 60} minutes, and not later: "
            "a CronJob takes no more than 100 missed times"
        )
    if cron.fixed and _is_set(times.zone):
        yield (
            f"where clocks of {times.zone} are set, a CronJob leaves out a time that does not exist, "
            "and runs twice at one that comes twice"
        )


def _is_set(zone: str) -> bool:
    """Whether clocks of a zone are set twice a year; one that this machine does not know may be."""
    try:
        known = ZoneInfo(zone)
    except (OSError, ValueError):
        return True
    return len({datetime(2026, month, 1, tzinfo=known).utcoffset() for month in range(1, 13)}) > 1


def _written(cron: Cron) -> str:
    """The five fields, by which a CronJob comes on the same days: it has no 7, and minds any star."""
    text = cron.text.lower()
    if text in NAMED:
        return NAMED[text]
    minute, hour, day, month, weekday = text.split()
    all_days = _listed(cron.days) if cron.either else "*"
    all_weekdays = _listed(cron.weekdays) if cron.either else "*"
    if "7" in re.split(r"[-,]|/\d+", weekday) and not has_star(weekday):
        weekday = _listed(cron.weekdays)
    stars = ((minute, "*"), (hour, "*"), (day, all_days), (month, "*"), (weekday, all_weekdays))
    return " ".join(whole if has_star(field) else field for field, whole in stars)


def _listed(numbers: frozenset[int]) -> str:
    return ",".join(map(str, sorted(numbers)))
