"""What is known of one column of late: how many values, how many missing, mean, deviation, and shares by bin."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from math import fsum, log, sqrt
from typing import Any, NamedTuple

from tiffin_serve.front.metrics.sampling import Value
from tiffin_serve.protocol import baseline

SLICE_SECONDS = 300
SLICES = 12
"""The window: twelve slices of five minutes, the last of which is still growing."""

LEAST_ROWS = 200
"""Sampled rows below which a population stability index would tell chance and not drift."""

LEAST_SHARE = 1e-4
"""What an empty bin counts as: the index of nothing against something is infinite."""

FARTHEST = 1e100
"""Numbers beyond this count as missing, as they do in the baseline."""


class Bins(NamedTuple):
    """Where values are counted: numbers between edges, or texts by name with one more bin for all others."""

    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    is_text: bool = False
    expected: tuple[float, ...] = ()
    missing: float = 0.0

    @property
    def size(self) -> int:
        """Count the bins."""
        return len(self.categories if self.is_text else self.edges) + 1


def bins_of(feature: baseline.Feature) -> Bins:
    """Count as the training data was counted."""
    return Bins(feature.edges, feature.categories, feature.kind == "text", feature.shares, feature.missing)


class Sketch:
    """A sum of values that were seen, each of which stands for as many as its weight says."""

    __slots__ = ("bins", "mean", "missing", "sampled", "squares", "weight")

    def __init__(self, bins: int = 0) -> None:
        self.sampled = 0
        self.weight = 0.0
        self.missing = 0.0
        self.mean = 0.0
        self.squares = 0.0
        self.bins = [0.0] * bins

    def add(self, values: Sequence[float], weight: float) -> None:
        """Add present values to the moments."""
        if values:
            mean = fsum(values) / len(values)
            self._pool(weight * len(values), mean, weight * fsum([(value - mean) ** 2 for value in values]))

    def merge(self, other: Sketch) -> None:
        """Add another sketch of the same bins."""
        self.sampled += other.sampled
        self.missing += other.missing
        self._pool(other.weight, other.mean, other.squares)
        self.bins = [one + more for one, more in zip(self.bins, other.bins, strict=True)]

    def _pool(self, weight: float, mean: float, squares: float) -> None:
        """Pool two samples' moments (Chan, Golub and LeVeque 1979)."""
        whole = self.weight + weight
        if whole:
            apart = mean - self.mean
            self.squares += squares + apart * apart * self.weight * weight / whole
            self.mean += apart * weight / whole
            self.weight = whole

    @property
    def rows(self) -> float:
        """Count the rows that this stands for."""
        return self.weight + self.missing

    @property
    def deviation(self) -> float:
        """The standard deviation of the values."""
        return sqrt(self.squares / self.weight) if self.weight else 0.0


class Feature:
    """One column of the inputs or outputs, within the window and since the start."""

    def __init__(self, name: str, bins: Bins | None = None) -> None:
        self.name = name
        self.bins = bins
        self.values = 0.0
        self.missing = 0.0
        self.is_text = False
        self._index = {name: place for place, name in enumerate(bins.categories)} if bins else {}
        self._slices: deque[tuple[int, Sketch]] = deque()

    def see(self, values: Sequence[Value], weight: float, now: float) -> None:
        """Count sampled values, each of which stands for `weight` of them."""
        sketch = self._slice(now)
        self.is_text = bool(values) and isinstance(values[0], bytes)
        if self.is_text and (self.bins is None or self.bins.is_text):
            found = self._texts(sketch, [value for value in values if isinstance(value, bytes)], weight)
        else:
            found = self._numbers(sketch, [_number(value) for value in values], weight)
        missing = (len(values) - found) * weight
        sketch.sampled += len(values)
        sketch.missing += missing
        self.missing += missing
        self.values += found * weight

    def _texts(self, sketch: Sketch, values: list[bytes], weight: float) -> int:
        present = [value.decode("utf-8", "replace") for value in values if value]
        others = len(self._index)
        if self.bins is not None:
            for text in present:
                sketch.bins[self._index.get(text, others)] += weight
        sketch.weight += len(present) * weight
        return len(present)

    def _numbers(self, sketch: Sketch, values: list[float], weight: float) -> int:
        present = [value for value in values if -FARTHEST <= value <= FARTHEST]
        sketch.add(present, weight)
        if self.bins is not None and self.bins.is_text:
            others = len(self._index)
            for value in present:
                sketch.bins[self._index.get(written(value), others)] += weight
        elif self.bins is not None:
            edges, counts = self.bins.edges, sketch.bins
            for value in present:
                counts[bisect_left(edges, value)] += weight
        return len(present)

    def _slice(self, now: float) -> Sketch:
        number = int(now // SLICE_SECONDS)
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append((number, self._empty()))
        self._forget(number)
        return self._slices[-1][1]

    def _forget(self, number: int) -> None:
        while self._slices and self._slices[0][0] <= number - SLICES:
            self._slices.popleft()

    def _empty(self) -> Sketch:
        return Sketch(self.bins.size if self.bins is not None else 0)

    def window(self, now: float) -> Sketch:
        """Add the slices of the window up."""
        self._forget(int(now // SLICE_SECONDS))
        whole = self._empty()
        for _, sketch in self._slices:
            whole.merge(sketch)
        return whole

    def shares(self, sketch: Sketch) -> list[float]:
        """Give the share of all rows by bin."""
        return [count / sketch.rows if sketch.rows else 0.0 for count in sketch.bins]

    def psi(self, sketch: Sketch) -> float | None:
        """Give the population stability index against the baseline; None without one, or with too few rows."""
        if self.bins is None or not self.bins.expected or sketch.sampled < LEAST_ROWS:
            return None
        expected = (*self.bins.expected, self.bins.missing)
        return stability_index(expected, (*self.shares(sketch), sketch.missing / sketch.rows))

    def document(self, now: float) -> dict[str, Any]:
        """Say everything, for `/drift`."""
        sketch = self.window(now)
        numeric = not self.is_text and sketch.weight > 0
        said: dict[str, Any] = {
            "name": self.name,
            "rows": round(sketch.rows),
            "sampled": sketch.sampled,
            "missing": round(sketch.missing / sketch.rows, 6) if sketch.rows else 0.0,
            **({"mean": sketch.mean, "deviation": sketch.deviation} if numeric else {}),
        }
        if self.bins is None:
            return said
        where: dict[str, Any] = (
            {"categories": self.bins.categories} if self.bins.is_text else {"edges": self.bins.edges}
        )
        expected = {"expected": self.bins.expected} if self.bins.expected else {}
        histogram = {**where, "shares": [round(share, 6) for share in self.shares(sketch)], **expected}
        return {**said, "psi": self.psi(sketch), "histogram": histogram}


def stability_index(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Sum (a - e) ln(a / e) over bins: 0 for the same shares; from 0.25 on one speaks of drift."""
    total = 0.0
    for one, other in zip(expected, actual, strict=True):
        was, is_now = max(one, LEAST_SHARE), max(other, LEAST_SHARE)
        total += (is_now - was) * log(is_now / was)
    return total


def written(label: object) -> str:
    """Write a class or a category as people do: 3 for 3.0."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def _number(value: Value) -> float:
    if isinstance(value, bytes):
        try:
            return float(value)
        except ValueError:
            return float("nan")
    return value
