"""Models of each light format predict after a fork; the heavy frameworks are never forked (tests/models)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pytest
import skops.io
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from unit.tiffin_serve.fronts import Serve, children_of
from unit.tiffin_serve.test_loaders import write_onnx

X = np.random.default_rng(0).normal(size=(200, 2)).astype("f4")
Y = (X[:, 0] > 0).astype(int)


def by_joblib(model: Any) -> Callable[[Path], dict[str, str]]:
    def save(folder: Path) -> dict[str, str]:
        joblib.dump(model.fit(X, Y), folder / "model.joblib")
        return {"format": "sklearn-joblib", "path": str(folder / "model.joblib")}

    return save


def by_skops(folder: Path) -> dict[str, str]:
    skops.io.dump(LogisticRegression().fit(X, Y), folder / "model.skops")
    return {"format": "skops", "path": str(folder / "model.skops")}


def by_xgboost(folder: Path) -> dict[str, str]:
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(X, Y), 5)
    booster.save_model(folder / "model.json")
    return {"format": "xgboost", "path": str(folder / "model.json")}


def by_lightgbm(folder: Path) -> dict[str, str]:
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(X, Y), 5)
    booster.save_model(folder / "model.txt")
    return {"format": "lightgbm", "path": str(folder / "model.txt")}


def by_onnx(folder: Path) -> dict[str, str]:
    return {"format": "onnx", "path": str(write_onnx(folder / "model.onnx", "n"))}


SAVED = {
    "logistic regression": by_joblib(LogisticRegression()),
    "forest": by_joblib(RandomForestClassifier(10)),
    "histogram boosting": by_joblib(HistGradientBoostingClassifier(max_iter=5)),
    "lightgbm of scikit-learn": by_joblib(lightgbm.LGBMClassifier(n_estimators=5, verbose=-1)),
    "skops": by_skops,
    "xgboost": by_xgboost,
    "lightgbm": by_lightgbm,
}


@pytest.mark.parametrize("name", SAVED)
def test_a_model_predicts_after_a_fork(serve: Serve, tmp_path: Path, name: str) -> None:
    server = serve(SAVED[name](tmp_path), serve={"workers": 2}).ready()
    (zygote,) = server.children_pids()
    assert children_of(zygote)
    assert "does not survive a fork" not in server.log
    assert "was to be warmed up" not in server.log
    for _ in range(4):
        assert server.ask("POST", "/predict", X[:5].tolist())[0] == 200
    assert server.children_pids() == [zygote]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_onnxruntime_has_threads_of_its_own_and_is_not_forked(serve: Serve, tmp_path: Path, threads: str) -> None:
    server = serve(by_onnx(tmp_path), environment={"OMP_NUM_THREADS": threads}).ready()
    (worker,) = server.children_pids()
    assert children_of(worker) == []
    assert server.ask("POST", "/predict", [[1, 2]]) == (200, {"predictions": [[2, 3]]})
