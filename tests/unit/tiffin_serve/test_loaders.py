"""What each loader announces and predicts, without a server around it."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from tiffin_serve.protocol.signature import Signature
from tiffin_serve.worker.loaders import load
from unit.tiffin_serve.fronts import COLUMNS, ROWS, SRC, train

CITIES = pd.DataFrame(
    {"city": ["Oslo", "Rome", "Oslo", "Bern"], "size": [1.0, 2.0, 3.0, 4.0], "kind": ["a", "b", "a", "b"]}
)


def served(estimator: Any, folder: Path) -> Any:
    joblib.dump(estimator, folder / "model.joblib")
    model = load("sklearn-joblib", str(folder / "model.joblib"), "")
    msgspec.convert(model.signature, Signature).check()
    return model


def texts(*values: str) -> Any:
    return np.array([[value] for value in values], dtype=object)


def names(specs: list[dict[str, Any]]) -> list[tuple[str, str, list[int]]]:
    return [(spec["name"], spec["datatype"], spec["shape"]) for spec in specs]


def test_a_pipeline_fitted_on_a_dataframe_takes_one_matrix_without_a_warning(tmp_path: Path) -> None:
    estimator = train()
    model = served(estimator, tmp_path)
    assert names(model.signature["inputs"]) == [("input", "FP64", [-1, 4])]
    assert names(model.signature["outputs"]) == [("predict", "BYTES", [-1]), ("predict_proba", "FP64", [-1, 3])]
    assert model.signature["columns"] == COLUMNS
    assert model.signature["classes"] == ["setosa", "versicolor", "virginica"]
    answer = model.predict({"input": np.array(ROWS)}, (), {})
    frame = pd.DataFrame(ROWS, columns=COLUMNS)
    assert answer["predict"].tolist() == estimator.predict(frame).tolist()
    assert (answer["predict_proba"] == estimator.predict_proba(frame)).all()


def test_a_model_saved_by_pickle_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(train()))
    assert load("sklearn-pickle", str(tmp_path / "model.pkl"), "").signature["columns"] == COLUMNS


def test_only_the_wanted_outputs_are_computed(tmp_path: Path) -> None:
    model = served(train(), tmp_path)
    assert list(model.predict({"input": np.array(ROWS)}, ("predict_proba",), {})) == ["predict_proba"]
    assert list(model.predict({"input": np.array(ROWS)}, ("predict",), {})) == ["predict"]


def test_a_forests_labels_are_the_greatest_of_its_probabilities(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(200, 4)), rng.integers(0, 3, 200)
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(7, random_state=0)).fit(rows, labels)
    model, fresh = served(forest, tmp_path), rng.normal(size=(500, 4))
    assert model.predict({"input": fresh}, (), {})["predict"].tolist() == forest.predict(fresh).tolist()
    assert names(model.signature["outputs"])[0] == ("predict", "INT64", [-1])


def test_regressors_and_clusterings_announce_what_they_give(tmp_path: Path) -> None:
    rows = np.arange(12.0).reshape(6, 2)
    assert names(served(LinearRegression().fit(rows, rows[:, 0]), tmp_path).signature["outputs"]) == [
        ("predict", "FP64", [-1])
    ]
    assert names(served(LinearRegression().fit(rows, rows), tmp_path).signature["outputs"]) == [
        ("predict", "FP64", [-1, 2])
    ]
    clusters = served(KMeans(2, n_init=1, random_state=0).fit(rows), tmp_path)
    assert names(clusters.signature["outputs"]) == [("predict", "INT64", [-1])]


@pytest.mark.parametrize(
    "encode",
    [
        [("one", OneHotEncoder(handle_unknown="ignore"), ["city", "kind"]), ("rest", "passthrough", ["size"])],
        [
            ("one", make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder()), ["city", "kind"]),
            ("num", StandardScaler(), ["size"]),
        ],
        [("text", TfidfVectorizer(), "city"), ("one", OneHotEncoder(), [2]), ("num", StandardScaler(), slice(1, 2))],
    ],
)
def test_columns_of_text_are_tensors_of_their_own(tmp_path: Path, encode: Any) -> None:
    estimator = make_pipeline(ColumnTransformer(encode), LogisticRegression()).fit(CITIES, [0, 1, 0, 1])
    model = served(estimator, tmp_path)
    assert names(model.signature["inputs"]) == [
        ("city", "BYTES", [-1, 1]),
        ("size", "FP64", [-1, 1]),
        ("kind", "BYTES", [-1, 1]),
    ]
    inputs = {"city": texts("Rome", "Oslo"), "size": np.array([[2.5], [0.5]]), "kind": texts("b", "a")}
    frame = pd.DataFrame({"city": ["Rome", "Oslo"], "size": [2.5, 0.5], "kind": ["b", "a"]})
    answer = model.predict(inputs, (), {})
    assert answer["predict"].tolist() == estimator.predict(frame).tolist()
    assert (answer["predict_proba"] == estimator.predict_proba(frame)).all()


def test_an_encoder_fitted_on_an_array_of_texts_has_made_up_names(tmp_path: Path) -> None:
    rows = CITIES[["city", "kind"]].to_numpy(dtype=object)
    model = served(make_pipeline(OneHotEncoder(), LogisticRegression()).fit(rows, [0, 1, 0, 1]), tmp_path)
    assert names(model.signature["inputs"]) == [("x0", "BYTES", [-1, 1]), ("x1", "BYTES", [-1, 1])]
    assert model.predict({"x0": texts("Rome"), "x1": texts("b")}, ("predict",), {})["predict"].tolist() == [1]
    with pytest.raises(ValueError, match="unknown categories"):
        model.predict({"x0": texts("Paris"), "x1": texts("b")}, (), {})


def test_a_column_transformer_over_numbers_is_given_a_dataframe(tmp_path: Path) -> None:
    chosen = ColumnTransformer([("only", StandardScaler(), ["petal width"])])
    frame = pd.DataFrame(ROWS, columns=COLUMNS)
    estimator = make_pipeline(chosen, FunctionTransformer(), LinearRegression()).fit(frame, [1.0, 2.0, 3.0])
    model = served(estimator, tmp_path)
    assert names(model.signature["inputs"]) == [("input", "FP64", [-1, 4])]
    assert model.predict({"input": np.array(ROWS)}, (), {})["predict"].tolist() == estimator.predict(frame).tolist()


def test_a_vectorizer_takes_a_list_of_texts(tmp_path: Path) -> None:
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad day"], ["+", "-"])
    model = served(estimator, tmp_path)
    assert names(model.signature["inputs"]) == [("input", "BYTES", [-1])]
    assert model.predict({"input": np.array(["good", "bad"], dtype=object)}, (), {})["predict"].tolist() == ["+", "-"]


def test_what_cannot_predict_is_refused(tmp_path: Path) -> None:
    joblib.dump(StandardScaler(), tmp_path / "model.joblib")
    with pytest.raises(TypeError, match="StandardScaler has no `predict`"):
        load("sklearn-joblib", str(tmp_path / "model.joblib"), "")


def write_onnx(path: Path, rows: Any, rows_out: Any = None) -> Path:
    """Write a graph that adds one to a matrix of two columns."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows if rows_out is None else rows_out, 2])
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    graph = helper.make_graph([helper.make_node("Add", ["x", "one"], ["y"])], "g", [x], [y], [one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def test_an_onnx_model_announces_its_graph(tmp_path: Path) -> None:
    model = load("onnx", str(write_onnx(tmp_path / "m.onnx", "n")), "")
    assert names(model.signature["inputs"]) == [("x", "FP32", [-1, 2])]
    assert model.signature["batches"]
    answer = model.predict({"x": np.array([[1, 2]], dtype="f4")}, (), {})
    assert answer["y"].tolist() == [[2, 3]]


@pytest.mark.parametrize(("rows", "rows_out"), [(3, None), ("n", "m")])
def test_an_onnx_model_whose_rows_are_not_rows_is_not_batched(tmp_path: Path, rows: Any, rows_out: Any) -> None:
    assert not load("onnx", str(write_onnx(tmp_path / "m.onnx", rows, rows_out)), "").signature["batches"]


def test_an_own_class_may_say_what_it_takes_and_whether_rows_go_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_one.py").write_text(
        "class P:\n"
        "    inputs = {'x': ('FP64', [-1])}\n"
        "    def load(self, path): self.path = path\n"
        "    def predict(self, inputs, parameters): return [self.path, str(parameters)]\n"
        "class Q(P):\n"
        "    batch = False\n"
        "    outputs = {'y': ('BYTES', [-1])}\n"
    )
    model = load("python", "here", "own_one:P")
    assert model.signature["batches"]
    assert model.predict({}, (), {"a": 1}) == {"predict": ["here", "{'a': 1}"]}
    other = load("python", "here", "own_one:Q")
    assert not other.signature["batches"]
    assert list(other.predict({}, (), {})) == ["y"]


@pytest.mark.parametrize("predictor", ["own", "own:", ":P", ""])
def test_a_predictor_without_module_or_class_is_refused(predictor: str) -> None:
    with pytest.raises(ValueError, match="module:Class"):
        load("python", "", predictor)


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no loader for the format h5; there are sklearn-joblib, .*onnx, .*python"):
        load("h5", "", "")


def test_the_worker_parses_on_python_3_9() -> None:
    for path in (SRC / "tiffin_serve" / "worker").rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))


def test_the_worker_imports_only_the_standard_library() -> None:
    code = f"import sys; sys.path.insert(0, {str(SRC)!r}); import tiffin_serve.worker.main; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True
    ).stdout
    allowed = sys.stdlib_module_names | {"tiffin_serve", "__main__", "__mp_main__"}
    assert {name.partition(".")[0] for name in modules.split()} <= allowed
