"""What a service answered beside what a `[[check]]` expects. Pure.

What an answer has beside what is expected does not count; numbers may differ by the tolerance, absolutely or
relatively, as when the server asks the same of itself before it is ready.
"""

from __future__ import annotations

import math
from typing import Any


def difference(expected: Any, got: Any, tolerance: float, place: str = "$") -> str:
    """Say where an answer first differs from what is expected, in a sentence; empty where it does not."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return _of_objects(expected, got, tolerance, place)
    if isinstance(expected, list) and isinstance(got, list):
        return _of_lists(expected, got, tolerance, place)
    if _is_number(expected) and _is_number(got):
        same = math.isclose(expected, got, rel_tol=tolerance, abs_tol=tolerance)
    else:
        same = type(expected) is type(got) and expected == got
    return "" if same else f"{place} is {_shown(got)}, and {_shown(expected)} is expected"


def _of_objects(expected: dict[str, Any], got: dict[str, Any], tolerance: float, place: str) -> str:
    for key, value in expected.items():
        if key not in got:
            return f"{place}.{key} is missing"
        if told := difference(value, got[key], tolerance, f"{place}.{key}"):
            return told
    return ""


def _of_lists(expected: list[Any], got: list[Any], tolerance: float, place: str) -> str:
    if len(expected) != len(got):
        return f"{place} has {len(got)} values, and {len(expected)} are expected"
    for number, (one, other) in enumerate(zip(expected, got, strict=True)):
        if told := difference(one, other, tolerance, f"{place}[{number}]"):
            return told
    return ""


def is_tensors(document: Any) -> bool:
    """Say whether a request is one of the Open Inference Protocol, and not rows for `/predict`."""
    inputs = document.get("inputs") if isinstance(document, dict) else None
    return isinstance(inputs, list) and bool(inputs) and isinstance(inputs[0], dict) and "datatype" in inputs[0]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - as much as a line of a terminal bears
