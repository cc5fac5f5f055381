"""How long one row and 64 rows take in the worker, before the conversion and after it."""

from __future__ import annotations

import time
from typing import Any, Dict, List

SIZES = (1, 64)
_MOST = 200
_SECONDS = 0.5
"""For how long each is measured at most."""


def latencies(before: Any, after: Any, inputs: "Dict[str, Any]") -> "Dict[str, Dict[str, float]]":
    """The median of a batch's time in microseconds, by rows."""
    found = {}
    for size in SIZES:
        rows = {name: tensor[:size] for name, tensor in inputs.items()}
        found[str(size)] = {"before": _median(before, rows), "after": _median(after, rows)}
    return found


def _median(model: Any, rows: "Dict[str, Any]") -> float:
    model.predict(rows, (), {})
    taken: "List[float]" = []
    end = time.perf_counter() + _SECONDS
    while len(taken) < _MOST and (not taken or time.perf_counter() < end):
        start = time.perf_counter()
        model.predict(rows, (), {})
        taken.append(time.perf_counter() - start)
    return round(sorted(taken)[len(taken) // 2] * 1e6, 1)
