"""scikit-learn estimators and pipelines, and whatever behaves like one, saved by joblib or pickle."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Iterator, List, Sequence, Set, Tuple

from tiffin_serve.worker.loaders.forests import CLASSIFIERS, by_trees
from tiffin_serve.worker.model import Model, tensor
from tiffin_serve.worker.threads import one_for_each

FORMATS = ("sklearn-joblib", "sklearn-pickle")
PREDICT, PROBABILITY = "predict", "predict_proba"

_NEEDS_NAMES = {"ColumnTransformer", "FunctionTransformer"}
"""Estimators of scikit-learn that may look at the names of columns, so that they are given a DataFrame."""


def load(format_: str, path: str, predictor: str) -> Model:
    """Unpickle the model; its signature is what it says of itself."""
    del predictor
    one_for_each()
    if format_ == "sklearn-joblib":
        import joblib

        estimator = joblib.load(path)
    else:
        import pickle

        with Path(path).open("rb") as file:
            estimator = pickle.load(file)  # noqa: S301 - the image's own model, in the image's own sandbox
    return SklearnModel(estimator)


class SklearnModel:
    """An estimator, how its input is put together, and how its output is called."""

    def __init__(self, estimator: Any) -> None:
        if not hasattr(estimator, "predict"):
            raise TypeError("%s has no `predict`" % type(estimator).__name__)
        self.fitted = self._estimator = estimator
        self._table = _Table(estimator)
        self._proba = hasattr(estimator, PROBABILITY) and not isinstance(getattr(estimator, "classes_", None), list)
        self._argmax = self._proba and _is_argmax(estimator)
        self._predict: Any = estimator.predict
        self._predict_proba: Any = getattr(estimator, PROBABILITY, None)
        trees = by_trees(estimator)
        if trees is not None and self._argmax:
            self._predict_proba = trees
        elif trees is not None and not hasattr(estimator, "classes_"):
            self._predict = trees
        labels = self._labels()
        classes = getattr(estimator, "classes_", None) if self._proba else None
        outputs = [tensor(PREDICT, *labels)]
        if self._proba:
            outputs.append(tensor(PROBABILITY, "FP64", [-1, -1 if classes is None else len(classes)]))
        self.signature = {
            "platform": "sklearn",
            "inputs": self._table.inputs,
            "outputs": outputs,
            "columns": self._table.columns,
            "classes": [] if classes is None else classes.tolist(),
            "probability": PROBABILITY if self._proba else "",
            "batches": True,
        }

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Predict labels or values, and the probabilities of the classes."""
        del parameters
        rows, results = self._table.build(inputs), {}
        if self._proba and (self._argmax or not wanted or PROBABILITY in wanted):
            results[PROBABILITY] = self._predict_proba(rows)
        if not wanted or PREDICT in wanted:
            if self._argmax:
                labels = self._estimator.classes_.take(results[PROBABILITY].argmax(axis=1), axis=0)
            else:
                labels = self._predict(rows)
            results = {PREDICT: labels, **results}
        return results

    def _labels(self) -> "Tuple[str, List[int]]":
        """Find datatype and shape of `predict`: from the classes, or for regressors from one row of zeros."""
        classes = getattr(self._estimator, "classes_", None)
        if isinstance(classes, list):
            return _datatype_of(classes[0].dtype), [-1, len(classes)]
        if classes is not None:
            return _datatype_of(classes.dtype), [-1]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = self._estimator.predict(self._table.zeros())
            return _datatype_of(value.dtype), [-1, *value.shape[1:]]
        except Exception:  # noqa: BLE001 - a made-up row may be refused; then the usual is announced
            return "FP64", [-1]


def _datatype_of(dtype: Any) -> str:
    return {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "FP64"}.get(dtype.kind, "BYTES")


class _Table:
    """How the tensors of a request become what the estimator was fitted on."""

    def __init__(self, estimator: Any) -> None:
        import numpy as np

        self._numpy = np
        names = getattr(estimator, "feature_names_in_", None)
        width = getattr(estimator, "n_features_in_", None)
        self._by_text = _reads_texts(estimator)
        self._texts = set() if self._by_text or width is None else _text_columns(estimator)
        self.columns: List[str] = [] if names is None else [str(name) for name in names]
        self._frame = self._needs_frame(estimator) if self.columns else None
        if self._texts:
            self.inputs = [
                tensor(self._name(position), "BYTES" if position in self._texts else "FP64", [-1, 1])
                for position in range(int(estimator.n_features_in_))
            ]
        elif self._by_text:
            self.inputs = [tensor("input", "BYTES", [-1])]
        else:
            self.inputs = [tensor("input", "FP64", [-1, -1 if width is None else int(width)])]

    def build(self, inputs: "dict[str, Any]") -> Any:
        """Make the matrix, the DataFrame or the list of texts."""
        if self._by_text:
            return inputs["input"]
        if not self._texts:
            matrix = inputs["input"]
            return matrix if self._frame is None else self._frame(matrix, columns=self.columns, copy=False)
        columns = {spec["name"]: inputs[spec["name"]].ravel() for spec in self.inputs}
        if self._frame is not None:
            return self._frame(columns)
        return self._numpy.column_stack([column.astype(object) for column in columns.values()])

    def zeros(self) -> Any:
        """Make one row of zeros and empty texts."""
        shape = [1 if size == -1 else size for size in self.inputs[0]["shape"]]
        if not self._texts and not self._by_text:
            return self.build({"input": self._numpy.zeros(shape)})
        values = {"BYTES": self._numpy.array([""], dtype=object), "FP64": self._numpy.zeros(1)}
        return self.build({spec["name"]: values[spec["datatype"]] for spec in self.inputs})

    def _name(self, position: int) -> str:
        return self.columns[position] if self.columns else "x%d" % position

    def _needs_frame(self, estimator: Any) -> Any:
        """Give pandas' DataFrame where names of columns may matter; plain arrays are several times faster.

        Estimators of scikit-learn that never select by name only compare the names and warn where there are none:
        the columns come in the fitted order here, so that warning says nothing.
        """
        parts = list(_parts(estimator))
        if not self._texts and all(
            type(part).__module__.startswith("sklearn.") and type(part).__name__ not in _NEEDS_NAMES for part in parts
        ):
            warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)
            return None
        try:
            import pandas as pd
        except ImportError:
            return None
        return pd.DataFrame


def _parts(estimator: Any) -> Iterator[Any]:
    """Walk an estimator and those inside it: of pipelines, unions, ensembles, searches and column transformers."""
    yield estimator
    for name in ("steps", "transformer_list", "transformers_", "estimators"):
        for item in getattr(estimator, name, None) or ():
            if isinstance(item, tuple) and hasattr(item[1], "get_params"):
                yield from _parts(item[1])
    for name in ("best_estimator_", "estimator_", "estimator", "regressor_", "transformer_"):
        inner = getattr(estimator, name, None)
        if hasattr(inner, "get_params") and not isinstance(inner, type):
            yield from _parts(inner)


def _last(estimator: Any) -> Any:
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        else:
            return estimator


def _first(estimator: Any) -> Any:
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif getattr(estimator, "steps", None):
            estimator = estimator.steps[0][1]
        else:
            return estimator


def _is_argmax(estimator: Any) -> bool:
    last = _last(estimator)
    return type(last).__name__ in CLASSIFIERS and type(last).__module__.startswith("sklearn.")


def _reads_texts(estimator: Any) -> bool:
    """Say whether the first step takes a list of texts, as vectorizers do."""
    return hasattr(_first(estimator), "build_analyzer")


def _text_columns(estimator: Any) -> Set[int]:
    """Find the positions of the columns that were fitted on texts."""
    first = _first(estimator)
    if hasattr(first, "transformers_"):
        texts: Set[int] = set()
        for _, part, columns in first.transformers_:
            positions = _positions(columns, first)
            texts |= {positions[place] for place in _text_places(part, len(positions)) if place < len(positions)}
        return texts
    return _text_places(first, len(getattr(first, "categories_", ())))


def _text_places(part: Any, width: int) -> Set[int]:
    """Find which of the columns given to one transformer are texts, by what it remembers of them."""
    for step in _parts(part) if hasattr(part, "get_params") else ():
        if hasattr(step, "build_analyzer"):
            return set(range(max(width, 1)))
        categories = getattr(step, "categories_", None)
        if categories is not None:
            return {place for place, known in enumerate(categories) if _are_texts(known)}
        statistics = getattr(step, "statistics_", None)
        if statistics is not None and _are_texts(statistics):
            return {place for place, known in enumerate(statistics) if isinstance(known, str)}
    return set()


def _are_texts(values: Any) -> bool:
    return getattr(values, "dtype", None) is not None and any(isinstance(value, str) for value in values.tolist())


def _positions(columns: Any, transformer: Any) -> List[int]:
    """Turn a column transformer's choice of columns into positions."""
    names = [str(name) for name in getattr(transformer, "feature_names_in_", ())]
    width = transformer.n_features_in_
    if isinstance(columns, (str, int)):
        columns = [columns]
    if isinstance(columns, slice):
        if isinstance(columns.start, str) or isinstance(columns.stop, str):
            start = names.index(columns.start) if columns.start else 0
            return list(range(start, names.index(columns.stop) + 1 if columns.stop else width))
        return list(range(width))[columns]
    chosen = list(columns)
    if chosen and all(type(item).__name__ in ("bool", "bool_") for item in chosen):
        return [place for place, take in enumerate(chosen) if take]
    return [names.index(item) if isinstance(item, str) else range(width)[item] for item in chosen]
