"""Waiting for what is to become so, with a deadline: no test sleeps for a time that it guesses."""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE_SECONDS = 120.0
"""Seconds after which whoever waits gives up; nothing is measured by it."""
STEP_SECONDS = 0.01


def until(
    holds: Callable[[], object], what: Callable[[], object] = lambda: "", seconds: float = DEADLINE_SECONDS
) -> None:
    """Wait for a condition; raises AssertionError that says `what` is the matter when the deadline has passed."""
    due = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < due, f"still not so after {seconds:g} s: {what()}"
        time.sleep(STEP_SECONDS)
