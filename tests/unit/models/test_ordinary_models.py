"""Models as people train them pass the scan, in every way they are saved; a name that passes is what it seems to be."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import pkgutil
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, chi2
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from tiffin.models import allowed_imports
from tiffin.models.allowed_imports import AllowedImports, reason
from tiffin.models.approve import approve

OURS = AllowedImports()
X, Y = load_iris(return_X_y=True)
FRAME = pd.DataFrame({"a": [1.0, np.nan, 3.0, 4.0], "b": ["x", "y", "x", "z"], "c": pd.Categorical(list("uuvv"))})
TEXTS = ["one two", "two three", "three four", "four five"]
SMALL = np.array([0, 1, 0, 1])


def mixed() -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include=float)),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["b", "c"]),
        ]
    )


COMPOSED: dict[str, Callable[[], Any]] = {
    "a pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
    "a pipeline over a table": lambda: make_pipeline(mixed(), RandomForestClassifier(5)).fit(FRAME, SMALL),
    "a table with names of text": lambda: make_pipeline(mixed(), LogisticRegression()).fit(FRAME, list("stst")),
    "a union": lambda: make_pipeline(FeatureUnion([("a", StandardScaler()), ("b", SelectKBest(chi2, k=2))]), SVC()).fit(
        X, Y
    ),
    "a grid search": lambda: GridSearchCV(
        SVC(), {"C": [1, 2]}, cv=2, scoring=["accuracy", "f1_macro"], refit="accuracy"
    ).fit(X, Y),
    "a random search": lambda: RandomizedSearchCV(
        KNeighborsClassifier(), {"p": [1, 2]}, n_iter=1, cv=2, random_state=0
    ).fit(X, Y),
    "a vote": lambda: VotingClassifier([("a", SVC()), ("b", DecisionTreeClassifier())]).fit(X, Y),
    "a stack": lambda: StackingClassifier([("a", SVC()), ("b", DecisionTreeClassifier())]).fit(X, Y),
    "one against the rest": lambda: OneVsRestClassifier(SVC()).fit(X, Y),
    "several outputs": lambda: MultiOutputClassifier(DecisionTreeClassifier()).fit(X, np.c_[Y, Y]),
    "a chain": lambda: ClassifierChain(DecisionTreeClassifier()).fit(X, np.c_[Y, Y]),
    "an elimination": lambda: RFE(LogisticRegression(max_iter=500)).fit(X, Y),
    "a selection": lambda: SelectFromModel(DecisionTreeClassifier()).fit(X, Y),
    "a bag of words": lambda: make_pipeline(CountVectorizer(), LogisticRegression()).fit(TEXTS, SMALL),
    "weighted words": lambda: make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), SVC()).fit(TEXTS, SMALL),
    "a function of numpy": lambda: make_pipeline(FunctionTransformer(np.log1p), LinearRegression()).fit(X, Y),
    "a target that is transformed": lambda: TransformedTargetRegressor(
        LinearRegression(), func=np.log1p, inverse_func=np.expm1
    ).fit(X, Y),
    "boosting with categories": lambda: HistGradientBoostingClassifier(
        max_iter=3, categorical_features="from_dtype"
    ).fit(FRAME[["a", "c"]], SMALL),
    "a dict of models": lambda: {"one": SVC().fit(X, Y), "names": ["a", "b"], "table": FRAME, "when": pd.Timestamp(0)},
    "a table with an index": lambda: FRAME.set_index(pd.date_range("2026-01-01", periods=4)),
}


def estimators() -> dict[str, type[BaseEstimator]]:
    return dict(all_estimators())


def fitted(estimator: Any) -> Any | None:
    """Fit an estimator on whatever it takes; None where it takes nothing that is tried."""
    inputs = [(X, Y), (X,), (Y, Y), (X, np.c_[Y, Y]), (TEXTS, SMALL), (X[:, 0], Y), ([{"a": 1}], [1])]
    for given in inputs:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return estimator.fit(*given)
        except (ValueError, TypeError, AttributeError, NotImplementedError):
            continue
    return None


def check_every_way(folder: Path, model: Any) -> None:
    """Save a model in every way and approve each file."""
    for protocol in (0, 2, 3, 4, 5):
        path = folder / "m.pkl"
        path.write_bytes(pickle.dumps(model, protocol=protocol))
        approve(path, "sklearn-pickle", OURS)
    for how in (
        {},
        {"compress": 3},
        {"compress": ("gzip", 1)},
        {"compress": ("bz2", 1)},
        {"compress": ("xz", 0)},
        {"protocol": 2},
    ):
        joblib.dump(model, folder / "m.joblib", **how)
        approve(folder / "m.joblib", "sklearn-joblib", OURS)


@pytest.mark.parametrize("name", COMPOSED)
def test_what_people_compose_passes(tmp_path: Path, name: str) -> None:
    check_every_way(tmp_path, COMPOSED[name]())


def test_every_estimator_of_scikit_learn_passes(tmp_path: Path) -> None:
    trained = 0
    for class_ in estimators().values():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                model = class_()
        except TypeError:  # it wants another estimator; those are composed above
            continue
        fits = fitted(model)
        trained += fits is not None
        path = tmp_path / "m.joblib"
        joblib.dump(model, path)
        approve(path, "sklearn-joblib", OURS)
        (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
        approve(tmp_path / "m.pkl", "sklearn-pickle", OURS)
    assert trained > 100


@pytest.mark.parametrize("module", ["xgboost", "lightgbm"])
def test_a_booster_passes(tmp_path: Path, module: str) -> None:
    library = pytest.importorskip(module)
    class_ = library.XGBClassifier if module == "xgboost" else library.LGBMClassifier
    check_every_way(tmp_path, class_(n_estimators=2).fit(X, Y))


def test_samplers_and_encoders_in_a_pipeline_pass(tmp_path: Path) -> None:
    samplers = pytest.importorskip("imblearn.over_sampling", reason="needs imbalanced-learn")
    pipeline = pytest.importorskip("imblearn.pipeline", reason="needs imbalanced-learn")
    encoders = pytest.importorskip("category_encoders", reason="needs category-encoders")
    frame = pd.DataFrame({"a": X[:, 0], "b": np.array(list("xyz"))[Y]})
    for name in encoders.__all__:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encoder = getattr(encoders, name)(cols=["b"]).fit(frame, Y > 0)
        check_every_way(tmp_path, encoder)
    sampled = pipeline.make_pipeline(StandardScaler(), samplers.SMOTE(), LogisticRegression())
    check_every_way(tmp_path, sampled.fit(X, Y > 0))


def test_every_sampler_and_ensemble_of_imbalanced_learn_passes(tmp_path: Path) -> None:
    imblearn = pytest.importorskip("imblearn.utils.testing", reason="needs imbalanced-learn")
    for _, class_ in imblearn.all_estimators():
        with contextlib.suppress(TypeError):  # it wants another estimator
            model = class_()
            fitted(model)
            joblib.dump(model, tmp_path / "m.joblib")
            approve(tmp_path / "m.joblib", "sklearn-joblib", OURS)


@pytest.mark.models
@pytest.mark.parametrize("kind", ["CatBoostClassifier", "CatBoostRegressor"])
def test_catboost_passes(tmp_path: Path, kind: str) -> None:
    catboost = pytest.importorskip("catboost", reason="needs catboost")
    model = getattr(catboost, kind)(iterations=2, verbose=0, allow_writing_files=False)
    check_every_way(tmp_path, make_pipeline(StandardScaler(), model).fit(X, Y))


@pytest.mark.models
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_weights_of_torch_pass(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.BatchNorm1d(8), torch.nn.LSTM(8, 3))
    for number, (saved, zipped) in enumerate(
        [(net.state_dict(), True), (net.state_dict(), False), (net, True), (net, False)]
    ):
        path = tmp_path / f"{number}.pt"
        torch.save(saved, path, _use_new_zipfile_serialization=zipped)
        approve(path, "torch", OURS)
    torch.jit.save(torch.jit.script(net[:3]), tmp_path / "script.pt")
    approve(tmp_path / "script.pt", "torch", OURS)


@pytest.mark.parametrize(
    "values", [np.arange(3.0), np.array(["a", "b"]), np.array(["a", None], dtype=object), np.zeros(0)]
)
def test_an_array_passes(tmp_path: Path, values: Any) -> None:
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    approve(tmp_path / "a.npy", "python", OURS)
    np.savez_compressed(tmp_path / "a.npz", one=values, two=values)
    approve(tmp_path / "a.npz", "python", OURS)
    check_every_way(tmp_path, [values, values.reshape(-1, 1), values.T])


HARMLESS = {"BSpline", "Counter", "Integral", "Interval", "Number", "Real", "RealNotInt", "SupportsIndex"}
"""Classes of other modules that allowed modules have, and that make plain values."""


FRAMEWORKS = ["sklearn", "pandas", "scipy.interpolate", "scipy.sparse", "imblearn", "category_encoders"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_class_that_a_pattern_lets_through_is_the_frameworks_own(framework: str) -> None:
    package, foreign = pytest.importorskip(framework, reason=f"needs {framework}"), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for info in pkgutil.walk_packages(package.__path__, f"{framework}.", onerror=lambda _: None):
            if not any(re.fullmatch(one.modules, info.name, re.ASCII) for one in allowed_imports._allowances()):
                continue
            for name, thing in vars(importlib.import_module(info.name)).items():
                if isinstance(thing, type) and reason(info.name, name, "joblib"):
                    own = thing.__module__.partition(".")[0] in (framework.partition(".")[0], "numpy", "sklearn")
                    foreign += [] if own or name in HARMLESS or issubclass(thing, Warning) else [f"{info.name}:{name}"]
    assert not foreign


def test_no_estimator_runs_code_of_its_state() -> None:
    known = {"BaseEstimator", "IsotonicRegression", "object"}
    for class_ in estimators().values():
        for method in ("__setstate__", "__del__", "__reduce__"):
            owner = next((parent.__name__ for parent in class_.__mro__ if method in vars(parent)), "object")
            assert owner in known, f"{class_.__name__}.{method} is new: read it, then allow it here"
