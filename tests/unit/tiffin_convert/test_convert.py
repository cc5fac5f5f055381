"""The program of the sandbox, run here: real models, through real converters, measured as a build measures them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier, XGBRegressor

from tiffin_convert.main import convert
from tiffin_convert.samples import draw, thresholds
from tiffin_serve.worker.loaders import load

pytestmark = pytest.mark.filterwarnings("ignore")  # frameworks and converters warn of each other

IRIS, KINDS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[KINDS]
TABLE = pd.DataFrame(IRIS, columns=["sepal length", "sepal width", "petal length", "petal width"])
MIXED = TABLE.assign(size=np.where(IRIS[:, 0] > 5.5, "big", "small"))
SICK, VALUES = load_diabetes(return_X_y=True)
TEXTS, MOODS = ["good film", "bad film", "nice thing", "awful bad thing"] * 5, ["up", "down", "up", "down"] * 5

BY_NAME = ColumnTransformer([("n", StandardScaler(), ["sepal length", "petal length"])], remainder="passthrough")
WITH_TEXTS = ColumnTransformer(
    [("n", StandardScaler(), ["sepal length"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["size"])]
)
MODELS: dict[str, tuple[Any, Any, Any]] = {
    "two classes": (LogisticRegression(), IRIS, KINDS > 0),
    "three classes": (LogisticRegression(max_iter=1000), IRIS, KINDS),
    "names as labels": (LogisticRegression(max_iter=1000), IRIS, NAMES),
    "numbers as labels": (LogisticRegression(max_iter=1000), IRIS, KINDS * 1.0),
    "random forest": (RandomForestClassifier(20, random_state=0), IRIS, NAMES),
    "gradient boosting": (GradientBoostingClassifier(n_estimators=10), IRIS, KINDS),
    "histograms": (HistGradientBoostingClassifier(max_iter=10), IRIS, KINDS),
    "support vectors": (SVC(probability=True, random_state=0), IRIS, KINDS),
    "no probabilities": (LinearSVC(), IRIS, NAMES),
    "neighbours": (KNeighborsClassifier(), IRIS, KINDS),
    "a scaler": (make_pipeline(StandardScaler(), LogisticRegression()), TABLE, NAMES),
    "columns by name": (make_pipeline(BY_NAME, RandomForestClassifier(10, random_state=0)), TABLE, NAMES),
    "columns of texts": (make_pipeline(WITH_TEXTS, LogisticRegression()), MIXED, NAMES),
    "missing values": (make_pipeline(SimpleImputer(), DecisionTreeClassifier()), IRIS, KINDS),
    "a search": (GridSearchCV(LogisticRegression(max_iter=1000), {"C": [1, 2]}), IRIS, KINDS),
    "words": (make_pipeline(CountVectorizer(), LogisticRegression()), TEXTS, MOODS),
    "a line": (LinearRegression(), SICK, VALUES),
    "two values a row": (LinearRegression(), SICK, np.c_[VALUES, -VALUES]),
    "a forest of values": (RandomForestRegressor(10, random_state=0), SICK, VALUES),
    "support vectors of values": (SVR(), SICK, VALUES),
    "xgboost": (XGBClassifier(n_estimators=5), IRIS, KINDS),
    "xgboost values": (XGBRegressor(n_estimators=5), SICK, VALUES),
    "lightgbm": (LGBMClassifier(n_estimators=5, verbose=-1), IRIS, NAMES),
    "lightgbm values": (LGBMRegressor(n_estimators=5, verbose=-1), SICK, VALUES),
}


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., tuple[dict[str, Any], bytes]]:
    """Save a model, and ask the program about it."""
    (tmp_path / "model").mkdir()

    def ask(
        save: Callable[[Path], object], format_: str = "sklearn-joblib", **more: object
    ) -> tuple[dict[str, Any], bytes]:
        save(tmp_path / "model" / "m")
        question = {"format": format_, "model": "m", "samples": "", "count": 2000, "seed": 1, "tolerance": 1e-4}
        return convert(question | more, tmp_path)

    return ask


def saved(model: object, path: Path) -> None:
    joblib.dump(model, path)


def fitted(name: str) -> Any:
    model, rows, labels = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(rows, labels)


def good(answer: dict[str, Any]) -> bool:
    report = answer["report"]
    return report["difference"] <= 1e-4 and report["flipped"] == report["ties"]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_answers_as_onnx_as_it_did(name: str, asked: Callable[..., Any], tmp_path: Path) -> None:
    answer, data = asked(partial(saved, fitted(name)))
    assert good(answer), answer
    before = load("sklearn-joblib", str(tmp_path / "model" / "m"), "").signature
    (tmp_path / "m.onnx").write_bytes(data)
    after = load("onnx", str(tmp_path / "m.onnx"), "").signature
    assert {**before, "platform": "onnx_onnxv1"} == after


@pytest.mark.parametrize("name", ["xgboost", "xgboost values", "lightgbm", "lightgbm values"])
def test_so_does_a_booster_in_its_own_file(name: str, asked: Callable[..., Any], tmp_path: Path) -> None:
    model, format_ = fitted(name), name.partition(" ")[0]

    def save(path: Path) -> None:
        if format_ == "xgboost":
            model.save_model(path.with_suffix(".ubj"))
            path.with_suffix(".ubj").rename(path)
        else:
            model.booster_.save_model(path)

    answer, data = asked(save, format_)
    assert good(answer), answer
    before = load(format_, str(tmp_path / "model" / "m"), "").signature
    (tmp_path / "m.onnx").write_bytes(data)
    after = load("onnx", str(tmp_path / "m.onnx"), "").signature
    assert {**before, "platform": "onnx_onnxv1"} == after


@pytest.mark.parametrize("name", ["random forest", "columns of texts", "words"])
def test_the_same_model_gives_the_same_bytes(name: str, asked: Callable[..., Any]) -> None:
    save = partial(saved, fitted(name))
    assert asked(save)[1] == asked(save)[1]


def test_the_report_says_what_was_measured_and_with_what(asked: Callable[..., Any]) -> None:
    report = asked(partial(saved, fitted("three classes")))[0]["report"]
    assert report["samples"] == 2000
    assert not report["from_file"]
    assert report["precision"] == "single"
    assert report["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}]
    assert set(report["latency"]) == {"1", "64"}
    assert {"skl2onnx", "onnx", "onnxruntime", "scikit-learn"} <= set(report["versions"])
    assert set(report["worst"]["after"]) == {"predict", "predict_proba"}
    json.dumps(report, allow_nan=False)


def test_what_single_precision_cannot_do_double_does(asked: Callable[..., Any]) -> None:
    far = LinearRegression().fit(IRIS * 1e-3 + 1e4, KINDS * 1.0)  # its features differ in the eighth digit
    answer, _ = asked(partial(saved, far), tolerance=1e-6)
    assert answer["report"]["precision"] == "double"
    assert answer["report"]["difference"] <= 1e-6


def test_own_rows_are_measured_where_there_are_some(asked: Callable[..., Any], tmp_path: Path) -> None:
    MIXED.iloc[::-1, ::-1].to_csv(tmp_path / "model" / "rows.csv", index=False)
    report = asked(partial(saved, fitted("columns of texts")), samples="rows.csv")[0]["report"]
    assert report["from_file"]
    assert report["samples"] == 150
    assert set(report["worst"]["row"]) == set(MIXED.columns)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "has 2 columns, and the model takes 4"),
        ("a,b,c,d\n1,2,3\n", "line 2: 3 cells, and the header has 4"),
        ("a,b,c,d\n", "no rows below its line of names"),
        ("a,b,c,d\n1,2,3,x\n", "could not convert"),
    ],
)
def test_rows_that_do_not_fit_are_refused(text: str, said: str, asked: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "model" / "rows.csv").write_text(text)
    answer, data = asked(partial(saved, fitted("three classes")), samples="rows.csv")
    assert said in answer["refused"]
    assert answer["about"] == "samples"
    assert not data


def test_a_missing_column_is_named(asked: Callable[..., Any], tmp_path: Path) -> None:
    TABLE[["sepal length"]].to_csv(tmp_path / "model" / "rows.csv", index=False)
    answer, _ = asked(partial(saved, fitted("a scaler")), samples="rows.csv")
    assert "has no column 'sepal width'" in answer["refused"]


def squared(rows: Any) -> Any:
    return rows**2


def test_a_function_of_ones_own_has_no_converter(asked: Callable[..., Any]) -> None:
    own = make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(IRIS, KINDS)
    answer, data = asked(partial(saved, own))
    assert answer["refused"].count("FunctionTransformer is not supported") == 1
    assert not data


def test_several_labels_a_row_are_refused(asked: Callable[..., Any]) -> None:
    answer, _ = asked(partial(saved, DecisionTreeClassifier().fit(IRIS, np.c_[KINDS, KINDS])))
    assert "several labels a row" in answer["refused"]


def test_a_column_named_as_an_output_is_refused(asked: Callable[..., Any]) -> None:
    table = MIXED.rename(columns={"sepal length": "predict"})
    encoder = ColumnTransformer([("c", OneHotEncoder(), ["size"])], remainder="passthrough")
    answer, _ = asked(partial(saved, make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(table, KINDS)))
    assert "a column is called `predict`" in answer["refused"]


def test_a_model_of_absent_code_is_refused_with_its_name(asked: Callable[..., Any]) -> None:
    def save(path: Path) -> None:
        path.write_bytes(b"cabsent_module\nThing\n.")

    answer, _ = asked(save, "sklearn-pickle")
    assert "absent_module" in answer["refused"]


def test_random_rows_fall_on_both_sides_of_a_tree(tmp_path: Path) -> None:
    joblib.dump(fitted("random forest"), tmp_path / "m")
    model = load("sklearn-joblib", str(tmp_path / "m"), "")
    drawn = draw(model, 2000, 1)["input"]
    for place, splits in thresholds(model.fitted).items():
        assert drawn[:, place].min() < min(splits)
        assert drawn[:, place].max() > max(splits)
    assert len(set(model.predict({"input": drawn}, (), {})["predict"])) == 3
