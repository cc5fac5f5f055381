"""What the loader of MLflow's pyfuncs announces and predicts, without a server around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from tiffin_serve.protocol.signature import Signature
from tiffin_serve.worker.loaders import load

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

pyfunc = pytest.importorskip("mlflow.pyfunc", reason="needs mlflow")
mlflow_models = pytest.importorskip("mlflow.models", reason="needs mlflow")


class Echo(pyfunc.PythonModel):
    """Gives what it was given, and how it looked."""

    def predict(self, context, model_input, params=None):  # noqa: ANN001, ANN201, ARG002 - MLflow reads hints as a schema
        if isinstance(model_input, pd.DataFrame):
            return pd.DataFrame({"kinds": [",".join(map(str, model_input.dtypes))] * len(model_input)})
        return np.asarray(model_input) * ((params or {}).get("times", 1))


def served(folder: Path, inputs: Any, outputs: Any = None, **more: Any) -> Any:
    signature = mlflow_models.infer_signature(inputs, outputs, **more)
    pyfunc.save_model(folder, python_model=Echo(), signature=signature, pip_requirements=[])
    model = load("mlflow", str(folder), "")
    msgspec.convert(model.signature, Signature).check()
    return model


def named(specs: list[dict[str, Any]]) -> list[tuple[str, str, list[int]]]:
    return [(spec["name"], spec["datatype"], spec["shape"]) for spec in specs]


def test_columns_of_several_types_are_tensors_of_their_own(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, 1.5], "word": ["a", "b"]})
    model = served(tmp_path / "m", frame, pd.DataFrame({"kinds": ["a"]}))
    assert named(model.signature["inputs"]) == [
        ("n", "INT64", [-1, 1]),
        ("x", "FP64", [-1, 1]),
        ("word", "BYTES", [-1, 1]),
    ]
    assert named(model.signature["outputs"]) == [("kinds", "BYTES", [-1])]
    inputs = {name: frame[[name]].to_numpy() for name in frame.columns}
    assert model.predict(inputs, (), {})["kinds"][0].startswith("int64,float64,")
    with pytest.raises(ValueError, match="x"):
        model.predict({"n": inputs["n"], "word": inputs["word"]}, (), {})


def test_tensors_stay_tensors_and_parameters_arrive(tmp_path: Path) -> None:
    rows = np.ones((2, 3), dtype="f4")
    model = served(tmp_path / "m", rows, rows, params={"times": 1})
    assert named(model.signature["inputs"]) == [("input", "FP32", [-1, 3])]
    assert named(model.signature["outputs"]) == [("predict", "FP32", [-1, 3])]
    answer = model.predict({"input": rows}, (), {"times": 3, "unknown": 1})
    assert (answer["predict"] == 3).all()
