"""Loads to replay: how many requests a second are expected at each moment."""

from __future__ import annotations

import math
from collections.abc import Callable

Trace = Callable[[float], float]
"""Requests a second expected at a time in seconds."""

SECONDS = 3600.0
"""How long each is replayed."""


def steady(_: float) -> float:
    """As many as three replicas serve."""
    return 50.0


def daily(time: float) -> float:
    """A day in half an hour: from nothing at night to ten replicas' worth at noon."""
    return max(0.0, 100.0 + 130.0 * math.sin(2 * math.pi * time / 1800.0))


def bursty(time: float) -> float:
    """A little, and for five seconds of every minute and a half twenty times as much."""
    return 200.0 if time % 90.0 < 5.0 else 10.0


def stepping(time: float) -> float:
    """Up and down between one and eight replicas' worth every four minutes."""
    return 150.0 if time % 480.0 < 240.0 else 15.0


def spike(time: float) -> float:
    """Steady but for one minute in the middle, with ten times as much."""
    return 200.0 if 1800.0 <= time < 1860.0 else 20.0


def just_forgotten(time: float) -> float:
    """Bursts that come when what the last one brought has just been let go: sixty-five seconds after it."""
    return 160.0 if time % 75.0 < 10.0 else 5.0


def shorter_than_a_window(time: float) -> float:
    """Bursts of two seconds, gone before any replica that they ask for is there."""
    return 300.0 if time % 20.0 < 2.0 else 10.0


def rare(time: float) -> float:
    """Nothing for minutes, then a few requests: from zero and back."""
    return 5.0 if time % 240.0 < 10.0 else 0.0


TRACES: dict[str, Trace] = {
    "steady": steady,
    "daily": daily,
    "bursts": bursty,
    "steps": stepping,
    "one spike": spike,
    "bursts just forgotten": just_forgotten,
    "bursts shorter than a start": shorter_than_a_window,
    "rare, from zero": rare,
}
