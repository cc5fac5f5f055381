"""The questions' values and the right answers, as the training process wrote them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from .cases import IMAGE, IMAGE_SHAPE, Case

EXPECTED, ROWS, PIXELS = "expected.json", "rows.json", "pixels.raw"
TOLERANCE = 1e-4
"""An image is float32 on the way."""


@dataclass(frozen=True)
class Samples:
    """Rows of iris, one image, and what each model says of them."""

    rows: list[list[float]]
    pixels: bytes
    expected: dict[str, list[float]]
    seconds: dict[str, float]
    """How long the training process's own `predict` of one row takes; the median of many."""

    def values(self, case: Case) -> list[Any]:
        """Nested, as most protocols want it."""
        if case.model != IMAGE:
            return self.rows[: case.rows]
        flat = self.flat(case)
        side, plane = IMAGE_SHAPE[3], IMAGE_SHAPE[2] * IMAGE_SHAPE[3]
        return [
            [
                [flat[start : start + side] for start in range(channel * plane, (channel + 1) * plane, side)]
                for channel in range(IMAGE_SHAPE[1])
            ]
        ]

    def flat(self, case: Case) -> list[float]:
        """One after another."""
        if case.model == IMAGE:
            return list(memoryview(self.pixels).cast("f"))
        return [value for row in self.rows[: case.rows] for value in row]

    def shape(self, case: Case) -> list[int]:
        """Of the tensor."""
        return IMAGE_SHAPE if case.model == IMAGE else [case.rows, len(self.rows[0])]

    def answer(self, case: Case) -> list[float]:
        """What a server has to say."""
        expected = self.expected[case.model]
        return expected if case.model == IMAGE else expected[: case.rows]


def read_samples(folder: Path) -> Samples:
    """Read what training wrote."""
    document = msgspec.json.decode((folder / EXPECTED).read_bytes())
    rows = msgspec.json.decode((folder / ROWS).read_bytes())
    return Samples(rows, (folder / PIXELS).read_bytes(), document["expected"], document["seconds"])


def equal(one: list[float], other: list[float]) -> bool:
    """Say whether two answers are the same but for rounding."""
    return len(one) == len(other) and all(abs(a - b) <= TOLERANCE for a, b in zip(one, other, strict=True))
