"""A clock that nobody sets: the time of day when this process began, and what has passed since.

Windows, backoffs and deadlines are counted by it, so that none of them ends early or never because somebody set the
machine's clock. What is shown to people is the time of day.
"""

from __future__ import annotations

import time

_BEGAN = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def now() -> float:
    """Seconds since 1970, as far as they were known when this process began; goes on while the machine sleeps."""
    return _BEGAN + time.clock_gettime(time.CLOCK_BOOTTIME)


def since(moment: float) -> float:
    """When something was by this clock that the time of day is known of; what seems to lie ahead is now.

    The answer is right until the machine's clock is set: ask once, and keep it.
    """
    return now() - max(time.time() - moment, 0.0)
