"""What the loader of MLflow's pyfuncs announces and predicts, without a server around it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from tiffin.models.detect import read_model
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.worker.loaders import load

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

pyfunc = pytest.importorskip("mlflow.pyfunc", reason="needs mlflow")
mlflow_models = pytest.importorskip("mlflow.models", reason="needs mlflow")
keras = pytest.importorskip("keras", reason="needs keras")
lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
linear_model = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
onnx = pytest.importorskip("onnx", reason="needs onnx")
xgboost = pytest.importorskip("xgboost", reason="needs xgboost")


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


KINDS = {"FP32": "f4", "FP64": "f8"}
ROWS = np.arange(12, dtype="f8").reshape(3, 4)


def linear() -> Any:
    return linear_model.LinearRegression().fit(ROWS, ROWS.sum(axis=1) ** 2)


def doubling() -> Any:
    node = onnx.helper.make_node("Add", ["rows", "rows"], ["twice"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 4]) for name in ("rows", "twice")]
    graph = onnx.helper.make_graph([node], "doubling", values[:1], values[1:])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)


def dense() -> Any:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])


FLAVORS: dict[str, tuple[str, Callable[[], Any], str]] = {
    "sklearn": ("skops", linear, "scikit-learn skops"),
    "xgboost": ("xgboost", lambda: xgboost.XGBRegressor(n_estimators=3).fit(ROWS, ROWS[:, 0]), "xgboost-cpu"),
    "lightgbm": ("skops", lambda: lightgbm.LGBMRegressor(verbose=-1).fit(ROWS, ROWS[:, 0]), "lightgbm skops"),
    "onnx": ("onnx", doubling, "onnxruntime"),
    "tensorflow": ("mlflow", dense, "mlflow-skinny tensorflow-cpu"),
}
"""MLflow's flavor -> the format it is served as, what makes a model, and a part of what it needs."""


@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_flavor_answers_as_mlflow_does(tmp_path: Path, flavor: str) -> None:
    format_, make, needs = FLAVORS[flavor]
    listed = ["mlflow-skinny", "tensorflow-cpu", "scikit-learn", "skops", "xgboost-cpu", "lightgbm", "onnxruntime"]
    saver = importlib.import_module(f"mlflow.{flavor}")
    rows = ROWS.astype("f4") if flavor in {"onnx", "tensorflow"} else ROWS
    signature = mlflow_models.infer_signature(rows)
    saver.save_model(make(), tmp_path / "m", signature=signature, pip_requirements=listed)
    found = read_model(tmp_path / "m")
    assert found.format == format_
    assert set(needs.split()) <= {*found.requirements, *found.needs}
    assert (found.format == "mlflow") == ("mlflow-skinny" in found.requirements)
    model = load(found.format, str(found.path), "")
    [spec] = model.signature["inputs"]
    [answer] = model.predict({spec["name"]: rows.astype(KINDS[spec["datatype"]])}, (), {}).values()
    expected = pyfunc.load_model(tmp_path / "m").predict(rows)
    if isinstance(expected, dict):
        [expected] = expected.values()
    np.testing.assert_allclose(np.asarray(answer), np.asarray(expected), rtol=1e-5)
