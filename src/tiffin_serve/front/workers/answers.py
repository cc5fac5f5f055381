"""Whether an answer is what was expected: decisions only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

SHOWN = 60
_OF_THE_SERVER = {"model_name", "model_version", "id"}
"""What an answer says of the server rather than of the model."""


class Difference(NamedTuple):
    """One place where the answer is another; `size` is how far a number is off."""

    place: str
    expected: Any
    got: Any
    size: float = math.inf


def explain_difference(expected: Any, got: Any, tolerance: float) -> str:
    """Say where an answer differs most from what was expected; empty where it does not.

    Numbers may differ by `tolerance`, absolutely or relative to the greater one; whatever else the answer has beside
    what is expected does not count.
    """
    found = list(_differences(expected, got, tolerance, ""))
    if not found:
        return ""
    worst = max(found, key=lambda difference: difference.size)
    more = f"; {len(found)} places differ" if len(found) > 1 else ""
    by = f", {worst.size:.3g} off" if math.isfinite(worst.size) else ""
    return f"expected {_shown(worst.expected)} but got {_shown(worst.got)} at {worst.place or 'the top'}{by}{more}"


def _differences(expected: Any, got: Any, tolerance: float, place: str) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in expected.keys() - (_OF_THE_SERVER if not place else ()):
            inner = f"{place}.{key}" if place else key
            yield from _differences(expected[key], got.get(key), tolerance, inner)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for position, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from _differences(one, other, tolerance, f"{place}[{position}]")
    elif not _is_same(expected, got, tolerance):
        yield Difference(place, expected, got, abs(expected - got) if _are_numbers(expected, got) else math.inf)


def _is_same(one: Any, other: Any, tolerance: float) -> bool:
    if not _are_numbers(one, other):
        return type(one) is type(other) and bool(one == other)
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
