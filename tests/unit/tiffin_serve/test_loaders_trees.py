"""What the loaders of boosted trees and of skops announce and predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tiffin.errors import DeniedError
from tiffin.models.allowed_imports import AllowedImports
from tiffin.models.approve import approve
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.worker.loaders import load

FRAME, TARGET = load_iris(return_X_y=True, as_frame=True)
LABELS = {"two classes": TARGET == 1, "three classes": TARGET, "values": FRAME.iloc[:, 0]}


def served(format_: str, path: Path) -> Any:
    model = load(format_, str(path), "")
    msgspec.convert(model.signature, Signature).check()
    return model


def doubled(values: Any) -> Any:
    return values * 2


def outputs(model: Any) -> list[tuple[str, str, list[int]]]:
    return [(spec["name"], spec["datatype"], spec["shape"]) for spec in model.signature["outputs"]]


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("suffix", ["json", "ubj"])
def test_xgboost_answers_as_its_own_estimators(tmp_path: Path, kind: str, suffix: str) -> None:
    xgboost = pytest.importorskip("xgboost", reason="needs xgboost")
    make = xgboost.XGBRegressor if kind == "values" else xgboost.XGBClassifier
    estimator = make(n_estimators=5, max_depth=2).fit(FRAME, LABELS[kind])
    estimator.save_model(tmp_path / f"m.{suffix}")
    model = served("xgboost", tmp_path / f"m.{suffix}")
    assert model.signature["columns"] == list(FRAME.columns)
    answer = model.predict({"input": FRAME.to_numpy("f4")}, (), {})
    assert answer["predict"].tolist() == estimator.predict(FRAME).tolist()
    if kind != "values":
        np.testing.assert_allclose(answer["predict_proba"], estimator.predict_proba(FRAME), rtol=1e-6)
        assert outputs(model)[1] == ("predict_proba", "FP32", [-1, 2 if kind == "two classes" else 3])


def test_xgboost_predicts_with_the_best_of_its_trees_after_early_stopping(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost", reason="needs xgboost")
    noise = np.random.default_rng(0).integers(0, 2, len(FRAME))
    estimator = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=20)
    estimator.fit(FRAME[::2], noise[::2], eval_set=[(FRAME[1::2], noise[1::2])], verbose=False)
    assert estimator.best_iteration < len(estimator.get_booster().get_dump()) - 1
    estimator.save_model(tmp_path / "m.ubj")
    answer = served("xgboost", tmp_path / "m.ubj").predict({"input": FRAME.to_numpy("f4")}, ("predict_proba",), {})
    assert list(answer) == ["predict_proba"]
    np.testing.assert_allclose(answer["predict_proba"], estimator.predict_proba(FRAME), rtol=1e-6)


def test_a_linear_booster_is_asked_by_its_own_way(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost", reason="needs xgboost")
    booster = xgboost.train(
        {"booster": "gblinear", "updater": "coord_descent"}, xgboost.DMatrix(FRAME, TARGET), num_boost_round=3
    )
    booster.save_model(tmp_path / "m.json")
    answer = served("xgboost", tmp_path / "m.json").predict({"input": FRAME.to_numpy("f4")}, (), {})
    np.testing.assert_allclose(answer["predict"], booster.predict(xgboost.DMatrix(FRAME)), rtol=1e-6)


@pytest.mark.parametrize("kind", LABELS)
def test_lightgbm_answers_as_its_own_estimators(tmp_path: Path, kind: str) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
    make = lightgbm.LGBMRegressor if kind == "values" else lightgbm.LGBMClassifier
    estimator = make(n_estimators=5, verbose=-1).fit(FRAME, LABELS[kind])
    estimator.booster_.save_model(tmp_path / "m.txt")
    model = served("lightgbm", tmp_path / "m.txt")
    answer = model.predict({"input": FRAME.to_numpy()}, (), {})
    assert answer["predict"].tolist() == estimator.predict(FRAME).tolist()
    if kind != "values":
        np.testing.assert_allclose(answer["predict_proba"], estimator.predict_proba(FRAME), rtol=1e-12)
        assert outputs(model)[1] == ("predict_proba", "FP64", [-1, 2 if kind == "two classes" else 3])


def test_a_booster_fitted_on_categories_is_refused_since_its_file_has_only_codes(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
    frame = FRAME.assign(kind=TARGET.map(str).astype("category"))
    lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(frame, TARGET).booster_.save_model(tmp_path / "m.txt")
    with pytest.raises(ValueError, match="a class of your own"):
        load("lightgbm", str(tmp_path / "m.txt"), "")


def test_skops_is_loaded_like_any_estimator(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io", reason="needs skops")
    estimator = LogisticRegression(max_iter=500).fit(FRAME, load_iris().target_names[TARGET])
    skops.dump(estimator, tmp_path / "m.skops")
    model = served("skops", tmp_path / "m.skops")
    assert model.signature["classes"] == ["setosa", "versicolor", "virginica"]
    answer = model.predict({"input": FRAME.to_numpy()}, ("predict",), {})
    assert answer["predict"].tolist() == estimator.predict(FRAME).tolist()


def test_skops_loads_what_estimators_of_lightgbm_are_made_of(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io", reason="needs skops")
    lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
    rows = np.arange(80.0).reshape(20, 4)
    estimator = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(rows, rows[:, 0])
    skops.dump(estimator, tmp_path / "m.skops")
    approve(tmp_path / "m.skops", "skops", AllowedImports())
    answer = served("skops", tmp_path / "m.skops").predict({"input": rows}, (), {})
    np.testing.assert_allclose(answer["predict"], estimator.predict(rows))


def test_skops_with_a_function_of_a_projects_own_is_loaded_where_the_build_allowed_it(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io", reason="needs skops")
    skops.dump(make_pipeline(FunctionTransformer(doubled), LinearRegression()).fit(FRAME, TARGET), tmp_path / "m.skops")
    name = f"{doubled.__module__}:doubled"
    with pytest.raises(DeniedError, match=name):
        approve(tmp_path / "m.skops", "skops", AllowedImports())
    approve(tmp_path / "m.skops", "skops", AllowedImports.of([name]))
    assert served("skops", tmp_path / "m.skops").predict({"input": FRAME.to_numpy()}, ("predict",), {})
