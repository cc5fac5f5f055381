"""Which revision a request goes to. Pure: weights and a point on a circle of ten thousand to a number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from hashlib import blake2b
from itertools import accumulate

POINTS = 10_000


def point_of(salt: bytes, name: bytes) -> int:
    """Give the point of a request that has a name: the same for as long as the salt is."""
    return int.from_bytes(blake2b(salt + name, digest_size=8).digest(), "big") % POINTS


class Shares:
    """How the points from 0 up to 10,000 are shared out: in the order of revisions, each as much as its weight says.

    Older revisions come first, so that what the newest gets more it takes from those before it, and nothing else moves
    between two.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._numbers = sorted((number for number, weight in weights.items() if weight > 0), key=int)
        sums = list(accumulate(weights[number] for number in self._numbers))
        self._bounds = [POINTS * each / sums[-1] for each in sums[:-1]]

    def at(self, point: float) -> str:
        """Give the revision that a point belongs to, or nothing where nobody has a share."""
        return self._numbers[bisect_right(self._bounds, point)] if self._numbers else ""
