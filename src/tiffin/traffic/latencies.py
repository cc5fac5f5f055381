"""How long answers took, in buckets that are one percent wide: memory and time do not grow with the requests."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log

LEAST = 1e-6
"""Seconds; whatever is shorter counts as this long."""
GROWTH = 1.01
BUCKETS = 1 + ceil(log(1000 / LEAST) / log(GROWTH))
_SCALE = 1 / log(GROWTH)


class Latencies:
    """A histogram of seconds from a microsecond to a quarter of an hour; quantiles are right to one percent."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self.count = 0
        self.total = 0.0
        self.greatest = 0.0

    def add(self, seconds: float) -> None:
        """Count one answer."""
        place = int(log(seconds / LEAST) * _SCALE) if seconds > LEAST else 0
        self._counts[min(place, BUCKETS - 1)] += 1
        self.count += 1
        self.total += seconds
        self.greatest = max(self.greatest, seconds)

    @property
    def mean(self) -> float:
        """Seconds an answer took on average."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the answers came (nearest rank, the middle of its bucket)."""
        rank, passed = max(ceil(share * self.count), 1), 0
        for place, count in enumerate(self._counts):
            passed += count
            if passed >= rank:
                return min(LEAST * float(GROWTH ** (place + 0.5)), self.greatest)
        return 0.0

    def filled(self) -> Iterator[tuple[float, int]]:
        """Walk the buckets that are not empty: their least seconds, and how many answers they hold."""
        for place, count in enumerate(self._counts):
            if count:
                yield LEAST * float(GROWTH**place), count
