"""What a model's training data looked like, in numbers that give no single row away: what drift is told by.

`spec/baseline.schema.json` is what the tool and the server share of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from math import fsum, sqrt
from pathlib import Path
from typing import Literal

import msgspec

from tiffin.errors import ConfigError
from tiffin.models.training_data import Cell, Table, numbers

VERSION = 1
"""Raised whenever the same data would give another baseline."""

LEAST = 10
"""Rows that stand behind everything that is told: a bin of numbers, or a text by name."""

BINS = 10
LEAST_ROWS = 50
MOST_CATEGORIES = 50
LONGEST = 100
"""Characters of a text that may be a category; longer ones are somebody's words."""


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One column: shares of all rows by bin of numbers, or by category with all others last; and what is missing.

    A number belongs to the first bin whose edge is not less than it, and to the last bin when there is none.
    """

    name: str = ""
    kind: Literal["number", "text"]
    missing: float
    shares: list[float]
    edges: list[float] = []
    mean: float = 0.0
    deviation: float = 0.0
    categories: list[str] = []


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Every column of the training data but the one that the model predicts, which is `target`."""

    schema: Literal[1] = 1
    rows: int
    features: list[Feature]
    target: Feature | None = None


def baseline_of(table: Table, target: str, path: Path) -> Baseline:
    """Compute the baseline; `target` names the column that the model predicts; raises ConfigError."""
    if len(table.rows) < LEAST_ROWS:
        raise ConfigError(
            f"{path} has {len(table.rows)} rows, and a baseline needs {LEAST_ROWS}", "leave `training-data` out"
        )
    if target and target not in table.columns:
        shown = ", ".join(table.columns[:20]) or "none: this file has no names"
        raise ConfigError(f"{path} has no column {target!r} - at `$.model.target`", f"its columns are {shown}")
    names = table.columns or ("",) * len(table.rows[0])
    features = [_feature(name, [row[place] for row in table.rows]) for place, name in enumerate(names)]
    return Baseline(
        rows=len(table.rows),
        features=[feature for feature in features if not target or feature.name != target],
        target=next((feature for feature in features if target and feature.name == target), None),
    )


def baseline_text(baseline: Baseline) -> str:
    """Write a baseline; the same training data gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(baseline)).decode() + "\n"


def _feature(name: str, values: Sequence[Cell]) -> Feature:
    found = numbers(values)
    return _text(name, values) if found is None else _number(name, sorted(found), len(values))


def _number(name: str, values: list[float], rows: int) -> Feature:
    mean = fsum(values) / len(values) if values else 0.0
    variance = fsum([(value - mean) ** 2 for value in values]) / len(values) if values else 0.0
    edges, ends = _bins(values)
    return Feature(
        name=name,
        kind="number",
        missing=(rows - len(values)) / rows,
        edges=edges,
        shares=[(end - start) / rows for start, end in zip([0, *ends], [*ends, len(values)], strict=True)],
        mean=mean,
        deviation=sqrt(variance),
    )


def _bins(values: list[float]) -> tuple[list[float], list[int]]:
    """Cut sorted values into about ten bins with the same number of rows; equal values stay together.

    Edges lie between two values: a narrower float type moves nothing across them, and they are nobody's value.
    """
    edges: list[float] = []
    ends: list[int] = []
    for cut in range(1, BINS):
        end = bisect_right(values, values[cut * len(values) // BINS - 1]) if len(values) >= BINS else 0
        if end - (ends[-1] if ends else 0) >= LEAST and len(values) - end >= LEAST:
            below, above = values[end - 1], values[end]
            middle = below / 2 + above / 2
            edges.append(middle if below <= middle < above else below)
            ends.append(end)
    return edges, ends


def _text(name: str, values: Sequence[Cell]) -> Feature:
    texts = [_written(value) for value in values if value is not None]
    common = [
        (text, count)
        for text, count in sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))
        if count >= LEAST and len(text) <= LONGEST
    ][:MOST_CATEGORIES]
    rows = len(values)
    others = len(texts) - sum(count for _, count in common)
    return Feature(
        name=name,
        kind="text",
        missing=(rows - len(texts)) / rows,
        categories=[text for text, _ in common],
        shares=[*(count / rows for _, count in common), others / rows],
    )


def _written(value: Cell) -> str:
    """Write a number among texts as the server writes it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
