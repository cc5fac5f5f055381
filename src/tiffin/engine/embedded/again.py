"""When a container that ended by itself is started again: docker's rules, as a pure function. Standard library only."""

from __future__ import annotations

FIRST, LONGEST = 0.1, 60.0
"""Seconds before the first restart, and at most before any; each waits twice as long as the one before it."""
_STEADY = 10.0
"""Seconds of running after which a container counts as one that had not failed before."""
NO, ON_FAILURE = "no", "on-failure"


class Restarts:
    """The restarts of a container since somebody started it."""

    def __init__(self, policy: str, tries: int) -> None:
        self._policy, self._tries = policy, tries
        self._pause = 0.0
        self.count = 0

    def after(self, code: int, ran: float) -> float | None:
        """Seconds to wait before the next one, for a program that ran this long and exited so; None is never."""
        wanted = self._policy not in {NO, ON_FAILURE} or (self._policy == ON_FAILURE and code != 0)
        if not wanted or (self._tries and self.count >= self._tries):
            return None
        self.count += 1
        self._pause = FIRST if ran >= _STEADY or not self._pause else min(LONGEST, 2 * self._pause)
        return self._pause
