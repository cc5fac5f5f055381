"""Schemathesis, as its users run it: requests made of the server's OpenAPI document, every answer held against it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import joblib
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer

from unit.tiffin_serve.fronts import COLUMNS, ROWS

TESTS = Path(__file__).parents[1]
UNLOADING = ("--exclude-path-regex", "/unload$")
"""After it, nothing is answered as the document says of a model that is there."""
SEVERAL = """
import numpy

class Predictor:
    inputs = {"count": ("INT32", [-1]), "on": ("BOOL", [-1]), "word": ("BYTES", [-1]), "picture": ("UINT8", [-1, 2, 3])}
    outputs = {"words": ("BYTES", [-1]), "half": ("FP16", [-1, 2]), "sum": ("INT64", [-1])}

    def predict(self, inputs):
        rows = len(inputs["count"])
        half = numpy.full((rows, 2), 0.5, "float16")
        return {"words": inputs["word"], "half": half, "sum": inputs["picture"].sum((1, 2), dtype="int64")}
"""
TABLE = """
class Predictor:
    inputs = {"age": ("INT64", [-1]), "name": ("BYTES", [-1]), "weight": ("FP32", [-1])}
    outputs = {"y": ("INT64", [-1])}

    def predict(self, inputs):
        return {"y": inputs["age"]}
"""
PICTURE = """
class Predictor:
    inputs = {"x": ("FP32", [-1, 2, 2])}
    outputs = {"y": ("FP32", [-1])}

    def predict(self, inputs):
        return {"y": inputs["x"].max((1, 2)).clip(-9, 9)}
"""
FREE = """
class Predictor:
    def predict(self, inputs):
        return [1]
"""
SUBJECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tensors": (SEVERAL, UNLOADING),
    "table": (TABLE, UNLOADING),
    "picture": (PICTURE, UNLOADING),
    "free": (FREE, (*UNLOADING, "--exclude-checks", "positive_data_acceptance")),
}
"""Models, and what is left out: of one that says nothing of its inputs, no schema says what it takes."""


def tolerant(folder: Path) -> dict[str, str]:
    """Train a pipeline that takes every number there is, and none; returns the model as a service has it."""
    frame = pd.DataFrame([[value + d for value in row] for row in ROWS for d in (-0.2, 0.0, 0.2)], columns=COLUMNS)
    labels = ["setosa"] * 3 + ["virginica"] * 3 + ["versicolor"] * 3
    bins = KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform")
    path = folder / "model.joblib"
    joblib.dump(make_pipeline(SimpleImputer(), bins, LogisticRegression()).fit(frame, labels), path)
    return {"format": "sklearn-joblib", "path": str(path)}


def check(port: int, folder: Path, examples: int, *more: str, seed: int = 1) -> str:
    """Hold a server against its document; returns what schemathesis says, which a failure shows."""
    argv = ["run", f"http://127.0.0.1:{port}/openapi.json", "--checks", "all", "--exclude-deprecated", *more]
    manner = ["--max-examples", str(examples), "--seed", str(seed), "--generation-database", "none", "--no-color"]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *argv, *manner],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzz.schema_hooks", "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
