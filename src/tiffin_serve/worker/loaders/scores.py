"""What boosted trees give, named as scikit-learn names it: labels and probabilities, or values."""

from __future__ import annotations

from typing import Any, List, Sequence

from tiffin_serve.worker.model import tensor

PREDICT, PROBABILITY = "predict", "predict_proba"


class Scores:
    """How the raw scores of a booster are read: its native file knows how many classes there are, not their names.

    `classes` is 0 for values; a booster of two classes gives one probability a row, of more one for each.
    """

    def __init__(self, classes: int, datatype: str, width: int = 1) -> None:
        self._classes = classes
        self.outputs = [tensor(PREDICT, "INT64" if classes else datatype, [-1] if width == 1 else [-1, width])]
        if classes:
            self.outputs.append(tensor(PROBABILITY, datatype, [-1, classes]))

    @property
    def probability(self) -> str:
        """The output with probabilities, empty for values."""
        return PROBABILITY if self._classes else ""

    @property
    def classes(self) -> "List[int]":
        """The labels of the columns of the probabilities."""
        return list(range(self._classes))

    def signature(self, platform: str, given: "dict[str, Any]", columns: "List[str]") -> "dict[str, Any]":
        """The signature of a booster that is given one tensor of rows with these columns."""
        return {
            "platform": platform,
            "inputs": [given],
            "outputs": self.outputs,
            "columns": columns,
            "classes": self.classes,
            "probability": self.probability,
            "batches": True,
        }

    def named(self, raw: Any, wanted: Sequence[str]) -> "dict[str, Any]":
        """Name what the booster gave for a batch, and keep what is wanted."""
        if not self._classes:
            return {PREDICT: raw}
        import numpy as np

        if raw.ndim == 1:
            labels, raw = raw > 0.5, np.column_stack((1 - raw, raw))  # noqa: PLR2004 - more likely than not
        else:
            labels = raw.argmax(axis=1)
        results = {PREDICT: labels, PROBABILITY: raw}
        return {name: value for name, value in results.items() if not wanted or name in wanted}
