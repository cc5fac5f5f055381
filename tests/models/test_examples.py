"""Every example is trained, packed and asked in a container; the answer is that of the training process."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from models.journey import travel

HEAVY = {
    "mlflow": "mlflow",
    "mlflow-sklearn": "mlflow",
    "torchscript": "torch",
    "torch-export": "torch",
    "safetensors": "safetensors",
    "transformers": "transformers",
    "keras": "tensorflow",
    "saved-model": "tensorflow",
}
"""Example -> the module without which it is skipped."""


LIGHT = {
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "skops": "skops",
    "onnx": "onnx",
    "pickle": "sklearn",
    "own-class": "numpy",
}
"""Example -> the module without which it is skipped."""


@pytest.mark.parametrize("example", LIGHT)
def test_an_example_answers_as_its_training_process(example: str, tmp_path: Path, home: Path) -> None:
    if not find_spec(LIGHT[example]):
        pytest.skip(f"needs {LIGHT[example]}")
    travel(example, tmp_path, home)


@pytest.mark.models
@pytest.mark.parametrize("example", HEAVY)
def test_a_heavy_framework_answers_as_its_training_process(example: str, tmp_path: Path, home: Path) -> None:
    if not find_spec(HEAVY[example]):
        pytest.skip(f"needs {HEAVY[example]}")
    travel(example, tmp_path, home)
