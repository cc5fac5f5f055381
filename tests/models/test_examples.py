"""Every example is trained, packed and asked in a container; signature and answer are those of the training process."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from models.journey import EXAMPLES, Tensor, travel

MATRIX: list[Tensor] = [("input", "FP64", [-1, 4])]
SINGLE: list[Tensor] = [("input", "FP32", [-1, 4])]
FLOWERS: list[Tensor] = [("flowers", "FP32", [-1, 4])]
NUMBERED: list[Tensor] = [("predict", "INT64", [-1])]
NAMED: list[Tensor] = [("predict", "BYTES", [-1]), ("predict_proba", "FP64", [-1, 3])]
SCORES: list[Tensor] = [("predict", "FP32", [-1, 3])]

LIGHT: dict[str, tuple[str, list[Tensor], list[Tensor]]] = {
    "pickle": ("sklearn", [("input", "FP64", [-1, 10])], [("predict", "FP64", [-1])]),
    "skops": ("skops", MATRIX, NAMED),
    "xgboost": ("xgboost", SINGLE, [*NUMBERED, ("predict_proba", "FP32", [-1, 3])]),
    "lightgbm": ("lightgbm", MATRIX, [*NUMBERED, ("predict_proba", "FP64", [-1, 3])]),
    "onnx": ("onnx", FLOWERS, [("label", "INT64", [-1]), ("probabilities", "FP32", [-1, 3])]),
    "own-class": ("numpy", [("flowers", "FP64", [-1, 4])], [("kind", "BYTES", [-1]), ("distance", "FP64", [-1])]),
}
"""Example -> the module without which it is skipped, and what its server announces."""

HEAVY: dict[str, tuple[str, list[Tensor], list[Tensor]]] = {
    "torchscript": ("torch", [], []),
    "torch-export": ("torch", SINGLE, SCORES),
    "safetensors": ("torch", [("rows", "FP32", [-1, 4])], [("kind", "BYTES", [-1]), ("sure", "FP32", [-1])]),
    "transformers": (
        "torch",
        [("text", "BYTES", [-1])],
        [("predict", "BYTES", [-1]), ("predict_proba", "FP32", [-1, 2])],
    ),
    "keras": ("tensorflow", FLOWERS, SCORES),
    "saved-model": ("tensorflow", FLOWERS, [("output_0", "FP32", [-1, 3])]),
    "mlflow": ("mlflow", MATRIX, [("kind", "BYTES", [-1]), ("sure", "FP64", [-1])]),
    "mlflow-sklearn": ("mlflow", MATRIX, NAMED),
    "mlflow-torch": ("torch", SINGLE, SCORES),
}
"""Example -> the module without which it is skipped, and what its server announces."""


@pytest.mark.parametrize("example", LIGHT)
def test_an_example_answers_as_its_training_process(example: str, tmp_path: Path, home: Path) -> None:
    check(example, *LIGHT[example], folder=tmp_path, home=home)


@pytest.mark.models
@pytest.mark.parametrize("example", HEAVY)
def test_a_heavy_framework_answers_as_its_training_process(example: str, tmp_path: Path, home: Path) -> None:
    check(example, *HEAVY[example], folder=tmp_path, home=home)


def check(example: str, needs: str, inputs: list[Tensor], outputs: list[Tensor], *, folder: Path, home: Path) -> None:
    if not find_spec(needs):
        pytest.skip(f"needs {needs}")
    journey = travel(example, folder, home)
    assert journey.inputs == inputs
    assert journey.outputs == outputs
    assert not journey.packages("nvidia", "cuda", "triton"), "nothing here needs a GPU"


def test_every_example_is_tested_and_told_of() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir() and (path / "train.py").exists()}
    elsewhere = {"iris", "digits"}  # `make demo` and the README's first screen; test_digits.py releases the other
    assert folders == {*LIGHT, *HEAVY, *elsewhere}
    told = (EXAMPLES / "README.md").read_text()
    assert not [name for name in sorted(folders) if f"| [{name}]({name}) |" not in told]
