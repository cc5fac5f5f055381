"""How much a converted model's answers differ from the model's own. Pure: arrays in, figures out.

Probabilities differ by their distance, values by their distance as a part of the range of all values that the model
gave, so that a tolerance means the same in every unit. A flipped label is at a *tie* where the model's two greatest
probabilities are no further apart than rounding within the tolerance could turn round.
"""

from __future__ import annotations

import math
import sys
from typing import Any, Dict

PREDICT, PROBABILITY = "predict", "predict_proba"


class Measured:
    """What a comparison has shown; `report` is that as JSON."""

    def __init__(self, rows: int, report: "Dict[str, Any]") -> None:
        self.rows = rows
        self.report = report

    def passes(self, tolerance: float) -> bool:
        """Say whether the difference is within the tolerance, and so is the share of flips that are no ties."""
        flips = self.report["flipped"] - self.report["ties"]
        return bool(self.report["difference"] <= tolerance and flips <= tolerance * self.rows)

    @property
    def order(self) -> "tuple[int, float]":
        """Less is better."""
        return self.report["flipped"] - self.report["ties"], self.report["difference"]


def measured(
    signature: "Dict[str, Any]",
    inputs: "Dict[str, Any]",
    before: "Dict[str, Any]",
    after: "Dict[str, Any]",
    tolerance: float,
) -> Measured:
    """Compare all answers to the same rows."""
    import numpy as np

    rows = len(before[PREDICT])
    nothing: Any = np.zeros(rows, dtype=bool)
    flipped = ties = nothing
    differences = np.zeros(rows)
    if signature["probability"]:
        differences = _distances(before[PROBABILITY], after[PROBABILITY], 1.0)
    if _is_value(signature):
        given = np.asarray(before[PREDICT], dtype=np.float64)
        span = float(np.nanmax(given) - np.nanmin(given)) or max(abs(float(np.nanmax(given))), 1.0)
        differences = _distances(given, after[PREDICT], span)
    else:
        flipped = _flips(before[PREDICT], after[PREDICT])
        ties = flipped & _close(before.get(PROBABILITY), tolerance, rows)
    worst = int(np.argmax(np.where(flipped & ~ties, np.inf, differences)))
    return Measured(
        rows,
        {
            "flipped": int(flipped.sum()),
            "ties": int(ties.sum()),
            "difference": min(float(differences.max()), sys.float_info.max),
            "relative": _is_value(signature),
            "worst": {
                "row": {name: _plain(tensor[worst]) for name, tensor in inputs.items()},
                "before": {name: _plain(tensor[worst]) for name, tensor in before.items()},
                "after": {name: _plain(tensor[worst]) for name, tensor in after.items()},
            },
        },
    )


def _is_value(signature: "Dict[str, Any]") -> bool:
    """Say whether `predict` is a number that may be a little off, and no label."""
    return not signature["probability"] and signature["outputs"][0]["datatype"] in ("FP32", "FP64")


def _distances(before: Any, after: Any, span: float) -> Any:
    """The greatest distance in each row; NaN is no distance from NaN, and an infinite one from anything else."""
    import numpy as np

    one, other = (np.asarray(values, dtype=np.float64).reshape(len(values), -1) for values in (before, after))
    if one.shape != other.shape:
        return np.full(len(one), np.inf)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    distances = np.where(same, 0.0, np.abs(np.where(same, 0.0, one) - np.where(same, 0.0, other)) / span)
    return np.where(np.isnan(distances), np.inf, distances).max(axis=1)


def _flips(before: Any, after: Any) -> Any:
    import numpy as np

    one, other = np.asarray(before), np.asarray(after)
    if one.dtype.kind not in "biuf":
        one, other = one.astype(str), other.astype(str)
    return (one != other).reshape(len(one), -1).any(axis=1)


def _close(probabilities: Any, tolerance: float, rows: int) -> Any:
    """Find the rows whose two greatest probabilities could change places within the tolerance."""
    import numpy as np

    if probabilities is None or probabilities.shape[1] < 2:  # noqa: PLR2004 - a tie takes two
        return np.zeros(rows, dtype=bool)
    top = np.sort(np.asarray(probabilities, dtype=np.float64), axis=1)
    return top[:, -1] - top[:, -2] <= 2 * tolerance


def _plain(value: Any) -> Any:
    """Make JSON of a cell or a row of them; what JSON has no number for becomes a text."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
