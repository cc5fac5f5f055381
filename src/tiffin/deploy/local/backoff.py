"""How soon a replica is started again: at once after one crash, and later the more there have been."""

from __future__ import annotations

from collections.abc import Iterable

from tiffin.deploy.local.seen import Crash

WINDOW = 300.0
"""Seconds after which a crash is forgotten."""
LOOP = 3
"""So many crashes within the window are a loop."""
FIRST, LONGEST = 1.0, 60.0


def recent(revision: int, crashes: Iterable[Crash], now: float, since: float = 0.0) -> list[Crash]:
    """The crashes of a revision that still count, oldest first."""
    found = [one for one in crashes if one.revision == revision and one.time >= max(since, now - WINDOW)]
    return sorted(found, key=lambda one: one.time)


def next_start(revision: int, crashes: Iterable[Crash]) -> float:
    """When a replica of the revision may be started, in seconds since 1970; 0 says at any time."""
    of_it = [one for one in crashes if one.revision == revision]
    last = max((one.time for one in of_it), default=0.0)
    count = len(recent(revision, of_it, last))
    return last + min(FIRST * 2.0 ** (count - 2), LONGEST) if count > 1 else 0.0
