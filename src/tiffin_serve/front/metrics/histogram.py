"""Histograms as Prometheus knows them: how many observations were at most so large, and the sum of all."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Bounds of times in seconds: a small model behind this server answers within the first few."""

SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Bounds of batch sizes."""


class Histogram:
    """Counts by upper bound, the bound included; the last count is of what is larger than every bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """Count the observations."""
        return sum(self.counts)

    def cumulative(self) -> list[int]:
        """Give how many observations were at most each bound, and at last all of them."""
        return list(accumulate(self.counts))

    def quantile(self, share: float) -> float:
        """Give the bound that so large a share of the observations are at most; the last one for larger ones."""
        wanted = share * self.count
        return next(
            (bound for bound, count in zip(self.bounds, self.cumulative(), strict=False) if count >= wanted),
            self.bounds[-1],
        )

    def since(self, before: Histogram) -> Histogram:
        """Give what was observed since it was a copy of another one."""
        later = Histogram(self.bounds)
        later.counts = [now - then for now, then in zip(self.counts, before.counts, strict=True)]
        later.total = self.total - before.total
        return later


def merged(histograms: Sequence[Histogram]) -> Histogram:
    """Add histograms of the same bounds up."""
    whole = Histogram(histograms[0].bounds if histograms else SECONDS)
    for histogram in histograms:
        whole.counts = [one + other for one, other in zip(whole.counts, histogram.counts, strict=True)]
        whole.total += histogram.total
    return whole
