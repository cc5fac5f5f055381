"""What is asked: a model, and a payload of it."""

from __future__ import annotations

from dataclasses import dataclass

NOOP, LR, RF, RF_ONNX, IMAGE = "no-op", "LogisticRegression", "RandomForest(100)", "RandomForest(100), ONNX", "image"
FILES = {NOOP: "", LR: "lr.joblib", RF: "rf.joblib", RF_ONNX: "rf.onnx", IMAGE: "image.onnx"}
"""What training writes of each model; the no-op gives the sum of a row and needs nothing."""
IMAGE_SHAPE = [1, 3, 224, 224]


@dataclass(frozen=True)
class Case:
    """So many rows, or images, of a model in one request."""

    model: str
    rows: int = 1
    binary: bool = False

    @property
    def name(self) -> str:
        """Say it in a table."""
        shape = "x".join(map(str, IMAGE_SHAPE)) if self.model == IMAGE else f"{self.rows}x4"
        return f"{self.model}, {shape} {'binary' if self.binary else 'JSON'}"


ROW = {model: Case(model) for model in (NOOP, LR, RF, RF_ONNX)}
LR_ROWS, RF_ROWS = Case(LR, 64), Case(RF, 64)
IMAGE_JSON, IMAGE_BINARY = Case(IMAGE), Case(IMAGE, binary=True)
TABLES = [ROW[LR], LR_ROWS, ROW[RF], RF_ROWS, IMAGE_JSON]
"""What every peer is asked."""
