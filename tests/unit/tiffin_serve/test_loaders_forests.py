"""Forests that are asked tree by tree: the same bits as their own methods give, or their own methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tiffin_serve.worker.loaders.forests import by_trees
from tiffin_serve.worker.loaders.sklearn import SklearnModel

WIDTH = 5
CHANCE = np.random.default_rng(3)
ROWS = CHANCE.normal(size=(200, WIDTH))
LABELS = np.array(["a", "b", "c"])[(ROWS[:, 0] * 3).astype(int) % 3]
VALUES = ROWS @ np.arange(WIDTH) + CHANCE.normal(size=200)
FORESTS: list[Any] = [
    RandomForestClassifier(30, random_state=0).fit(ROWS, LABELS),
    RandomForestClassifier(30, random_state=0, class_weight="balanced", max_depth=4).fit(ROWS, LABELS),
    ExtraTreesClassifier(30, random_state=0).fit(ROWS, LABELS),
    RandomForestRegressor(30, random_state=0).fit(ROWS, VALUES),
    RandomForestRegressor(20, random_state=0, criterion="absolute_error").fit(ROWS, VALUES),
    ExtraTreesRegressor(30, random_state=0).fit(ROWS, VALUES),
]
MODELS = [(forest, SklearnModel(forest)) for forest in FORESTS]
everyone = pytest.mark.parametrize("forest", FORESTS, ids=lambda forest: str(forest).partition("(")[0])


def own(forest: Any, rows: Any) -> dict[str, Any]:
    names = ("predict", "predict_proba") if hasattr(forest, "classes_") else ("predict",)
    return {name: getattr(forest, name)(rows) for name in names}


@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce:RuntimeWarning")  # scikit-learn's own sum
@given(arrays(np.float64, st.tuples(st.integers(1, 40), st.just(WIDTH)), elements=st.floats(-3e38, 3e38)))
@settings(deadline=None, max_examples=30)
def test_every_forest_answers_as_its_own_methods_to_the_bit(rows: np.ndarray) -> None:
    for forest, model in MODELS:
        found, expected = model.predict({"input": rows}, (), {}), own(forest, rows)
        assert found.keys() == expected.keys()
        assert all(found[name].tobytes() == np.asarray(value).tobytes() for name, value in expected.items())


@everyone
def test_each_known_forest_is_asked_by_trees(forest: Any) -> None:
    assert by_trees(forest) is not None


@everyone
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1e300])
def test_what_a_forest_refuses_is_refused_in_its_words(forest: Any, bad: float) -> None:
    rows = ROWS[:3].copy()
    rows[1, 2] = bad
    with pytest.raises(ValueError, match="float32") as ours:
        SklearnModel(forest).predict({"input": rows}, (), {})
    with pytest.raises(ValueError, match="float32") as theirs:
        forest.predict(rows)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("wrong", [np.zeros((2, WIDTH + 1)), np.zeros((0, WIDTH)), np.zeros(WIDTH)])
def test_a_wrong_shape_is_left_to_the_forest(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"features|sample|1D array"):
        SklearnModel(FORESTS[0]).predict({"input": wrong}, (), {})


def test_missing_values_are_left_to_a_forest_that_knows_them() -> None:
    rows = ROWS.copy()
    rows[::3, 1] = np.nan
    forest = RandomForestClassifier(10, random_state=0).fit(rows, LABELS)
    found = SklearnModel(forest).predict({"input": rows[:9]}, (), {})
    assert (found["predict_proba"] == forest.predict_proba(rows[:9])).all()


def test_a_pipeline_transforms_before_its_trees_are_asked() -> None:
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), RandomForestClassifier(10, random_state=0))
    rows = ROWS.copy()
    rows[::3, 1] = np.nan
    pipeline.fit(rows, LABELS)
    assert by_trees(pipeline) is not None
    found = SklearnModel(pipeline).predict({"input": rows[:9]}, (), {})
    assert (found["predict_proba"] == pipeline.predict_proba(rows[:9])).all()
    assert (found["predict"] == pipeline.predict(rows[:9])).all()


def test_a_forest_that_asks_for_threads_gets_them_for_large_batches_only() -> None:
    forest = RandomForestRegressor(10, random_state=0, n_jobs=2).fit(ROWS, VALUES)
    trees = by_trees(forest)
    assert trees is not None
    assert forest.n_jobs == 2
    assert np.allclose(trees(np.tile(ROWS, (2, 1))), np.tile(forest.predict(ROWS), 2))
    assert np.allclose(trees(ROWS), forest.predict(ROWS), rtol=1e-15)


class Loud(RandomForestClassifier):
    """Somebody's own."""


@pytest.mark.parametrize(
    "estimator",
    [
        Loud(5).fit(ROWS, LABELS),
        RandomForestRegressor(5).fit(ROWS, np.column_stack([VALUES, VALUES])),
        RandomForestClassifier(5).fit(ROWS, np.column_stack([LABELS, LABELS])),
        GradientBoostingClassifier(n_estimators=3).fit(ROWS, LABELS),
        StandardScaler().fit(ROWS),
    ],
)
def test_what_is_no_known_forest_is_asked_as_ever(estimator: Any) -> None:
    assert by_trees(estimator) is None


def test_a_forest_whose_trees_say_something_else_is_asked_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """As scikit-learn before 1.3, whose trees gave counts."""
    forest = RandomForestClassifier(5, random_state=0).fit(ROWS, LABELS)
    monkeypatch.setattr(forest, "predict_proba", lambda rows: np.full((len(rows), 3), 0.5))
    assert by_trees(forest) is None
