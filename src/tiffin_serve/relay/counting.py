"""What is counted of a revision: connections, those that failed, how long they were there, how soon it answered."""

from __future__ import annotations

import math
from collections import deque

KEPT = 1000
"""The p99 is over so many connections, the newest."""


class Counts:
    """Counters of one revision; times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.requests = 0
        self.errors = 0
        self._seconds, self._since = 0.0, 0.0
        self._answers: deque[float] = deque(maxlen=KEPT)

    def began(self, now: float) -> None:
        """Count one more."""
        self._pass(now)
        self.in_flight += 1
        self.requests += 1

    def ended(self, now: float) -> None:
        """Count one less."""
        self._pass(now)
        self.in_flight -= 1

    def answered(self, seconds: float) -> None:
        """Note how long the first byte of an answer took."""
        self._answers.append(seconds)

    def seconds(self, now: float) -> float:
        """The integral of the number of connections over time."""
        self._pass(now)
        return self._seconds

    def p99(self) -> float:
        """The time to the first byte that 99 of 100 connections stay within; 0 where there was none."""
        if not self._answers:
            return 0.0
        ordered = sorted(self._answers)
        return ordered[math.ceil(len(ordered) * 0.99) - 1]

    def _pass(self, now: float) -> None:
        self._seconds += self.in_flight * (now - self._since)
        self._since = now
