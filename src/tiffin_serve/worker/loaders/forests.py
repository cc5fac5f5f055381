"""Forests of scikit-learn, asked tree by tree.

For each call a forest makes a task for each of its trees, and each task checks its tree: with a hundred trees that is
over a millisecond, whether for one row or for 64. What a tree gives, `tree_.predict`, takes two microseconds. So rows
are checked once, as the forest does it, and the trees' answers are added up in the forest's own order: the same bits.
Whatever is not plain and finite is left to the forest, which refuses it, or knows what to do with missing values.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

Predict = Callable[[Any], Any]

CLASSIFIERS = {"RandomForestClassifier", "ExtraTreesClassifier"}
"""Those whose probabilities are the mean of their trees', and whose `predict` is the class of the greatest."""
REGRESSORS = {"RandomForestRegressor", "ExtraTreesRegressor"}
MOST_ROWS = 256
"""Up to so many rows one thread is faster than the threads that `n_jobs` asks for."""
PROBES = 64


def by_trees(estimator: Any) -> Optional[Predict]:
    """Give a faster `predict_proba` of a forest, or `predict` of one for values; None where there is none.

    A pipeline that ends with a forest has one too. It is tried first: one that differs in any bit is not given.
    """
    if type(estimator).__name__ == "Pipeline" and _is_sklearn(estimator) and estimator.steps:
        last = by_trees(estimator.steps[-1][1])
        return None if last is None else _after([step for _, step in estimator.steps[:-1]], last)
    name = type(estimator).__name__
    if not _is_sklearn(estimator) or name not in CLASSIFIERS | REGRESSORS or getattr(estimator, "n_outputs_", 0) != 1:
        return None
    forest = _Forest(estimator, estimator.predict_proba if name in CLASSIFIERS else estimator.predict)
    return forest if forest.agrees() else None


def _is_sklearn(estimator: Any) -> bool:
    return type(estimator).__module__.startswith("sklearn.")


def _after(steps: "list[Any]", last: Predict) -> Predict:
    """Transform as a pipeline does, then predict."""
    transforms = [step.transform for step in steps if step is not None and step != "passthrough"]

    def predict(rows: Any) -> Any:
        for transform in transforms:
            rows = transform(rows)
        return last(rows)

    return predict


class _Forest:
    """A forest's trees, and the forest's own method for what they are not asked."""

    def __init__(self, estimator: Any, own: Predict) -> None:
        import numpy as np

        self._numpy = np
        self._estimator = estimator
        self._own = own
        self._trees = [tree.tree_ for tree in estimator.estimators_]
        self._predicts = [tree.predict for tree in self._trees]
        self._shape = (int(estimator.n_classes_),) if hasattr(estimator, "n_classes_") else ()
        self._most = MOST_ROWS if estimator.n_jobs not in (None, 1) else float("inf")

    def __call__(self, rows: Any) -> Any:
        """Predict."""
        np = self._numpy
        if type(rows) is not np.ndarray or rows.ndim != 2 or rows.dtype.kind != "f":  # noqa: PLR2004 - rows and columns
            return self._own(rows)
        if not 0 < len(rows) <= self._most or rows.shape[1] != self._estimator.n_features_in_:
            return self._own(rows)
        with np.errstate(over="ignore"):
            single = np.asarray(rows, dtype=np.float32)
        if not np.isfinite(single).all():
            return self._own(rows)
        total = np.zeros((len(rows), *self._shape))
        for predict in self._predicts:
            total += predict(single) if self._shape else predict(single)[:, 0]
        total /= len(self._predicts)
        return total

    def agrees(self) -> bool:
        """Say whether both give the same to the bit, for rows that lie around the trees' own thresholds."""
        jobs, self._estimator.n_jobs = self._estimator.n_jobs, None  # threads would add up in any order, and stay
        try:
            rows = self._probes()
            return bool(self._numpy.array_equal(self(rows), self._own(rows)))
        except Exception:  # noqa: BLE001 - a version that is built otherwise is served as it wants
            return False
        finally:
            self._estimator.n_jobs = jobs

    def _probes(self) -> Any:
        np = self._numpy
        chance = np.random.RandomState(0)
        rows = chance.normal(size=(PROBES, self._estimator.n_features_in_))
        for tree in self._trees[:: max(len(self._trees) // 8, 1)]:
            for feature, threshold in zip(tree.feature, tree.threshold):  # noqa: B905 - strict= is Python 3.10
                if feature >= 0:
                    rows[chance.randint(PROBES), feature] = threshold * (1 + chance.choice([-1e-6, 0, 1e-6]))
        return rows
