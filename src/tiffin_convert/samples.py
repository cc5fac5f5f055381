"""Random rows that a model could be sent, from what it remembers of its features; the same rows for the same seed.

Trees give their thresholds, so that rows fall on both sides of every split; scalers, neighbours and support vectors the
range of what they were fitted on; encoders their categories. In a pipeline the last step knows its features best: rows
are drawn for it and led back through the steps before it, where those have an inverse.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List

_MISSING = 0.02
"""The share of cells that are missing, where a model was fitted to take that."""
_MOST_DEEP = 6


def draw(model: Any, count: int, seed: int) -> "Dict[str, Any]":
    """Draw rows as the tensors that the model's signature names."""
    import numpy as np

    signature = model.signature
    rng = np.random.default_rng(seed)
    columns = Features(rng, count, _width(signature)).of(model.fitted)
    specs = signature["inputs"]
    if len(specs) == 1:
        (spec,) = specs
        if len(spec["shape"]) == 1:
            return {spec["name"]: np.array([str(text) for text in columns[0]], dtype=object)}
        dtype = np.float32 if spec["datatype"] == "FP32" else np.float64
        return {spec["name"]: np.column_stack([_numbers(column) for column in columns]).astype(dtype)}
    return {
        spec["name"]: (_texts(column) if spec["datatype"] == "BYTES" else _numbers(column)).reshape(-1, 1)
        for spec, column in zip(specs, columns)  # noqa: B905 - strict= is Python 3.10
    }


def _width(signature: "Dict[str, Any]") -> int:
    specs = signature["inputs"]
    if len(specs) > 1:
        return len(specs)
    return int(specs[0]["shape"][1]) if len(specs[0]["shape"]) > 1 else 1


def _numbers(column: Any) -> Any:
    import numpy as np

    return np.asarray(column, dtype=np.float64)


def _texts(column: Any) -> Any:
    import numpy as np

    return np.array([str(value) for value in column], dtype=object)


class Features:
    """Draws columns for estimators; each is an array of `count` numbers or texts."""

    def __init__(self, rng: Any, count: int, width: int) -> None:
        self._rng = rng
        self._count = count
        self._width = width

    def of(self, estimator: Any) -> List[Any]:
        """Draw the columns of whatever this estimator is given."""
        while hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        if hasattr(estimator, "steps"):
            return self._through([step for _, step in estimator.steps if hasattr(step, "get_params")])
        if hasattr(estimator, "transformers_"):
            return self._by_columns(estimator)
        if hasattr(estimator, "transformer_list"):
            return self.of(estimator.transformer_list[0][1])
        if hasattr(estimator, "build_analyzer"):
            return [self._sentences(estimator)]
        return self._known(estimator)

    def _through(self, steps: List[Any]) -> List[Any]:
        """Draw for a chain of steps; the rest of it is asked first."""
        import warnings

        import numpy as np

        if len(steps) == 1 or not hasattr(steps[0], "inverse_transform") or hasattr(steps[0], "categories_"):
            return self.of(steps[0])
        inner = self._through(steps[1:])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return list(np.asarray(steps[0].inverse_transform(np.column_stack(inner)), dtype=np.float64).T)
        except Exception:  # noqa: BLE001 - an inverse that refuses these rows is as none
            return self.of(steps[0])

    def _by_columns(self, transformer: Any) -> List[Any]:
        from tiffin_serve.worker.loaders.sklearn import _positions

        drawn = [self._rng.normal(size=self._count) for _ in range(transformer.n_features_in_)]
        for _, part, columns in transformer.transformers_:
            positions = _positions(columns, transformer)
            if not hasattr(part, "get_params") or not positions:
                continue
            inner = Features(self._rng, self._count, len(positions)).of(part)
            for place, column in zip(positions, inner):  # noqa: B905 - strict= is Python 3.10
                drawn[place] = column
        return drawn

    def _known(self, estimator: Any) -> List[Any]:
        width = int(getattr(estimator, "n_features_in_", self._width))
        if hasattr(estimator, "categories_"):
            return [self._category(known, estimator) for known in estimator.categories_]
        if (ranges := _ranges(estimator)) is not None:
            return self._around(*ranges)
        splits = thresholds(estimator)
        if splits:
            missing = _MISSING if _takes_missing(estimator) else 0.0
            return [self._beside(splits.get(place, []), missing) for place in range(width)]
        return self._around(*_balanced(estimator, width))

    def _category(self, known: Any, encoder: Any) -> Any:
        """Draw from the categories, and now and then one that nobody knows, where that is allowed."""
        import numpy as np

        drawn = np.array(known, dtype=object)[self._rng.integers(len(known), size=self._count)]
        if getattr(encoder, "handle_unknown", "error") != "error" and isinstance(known[0], str):
            drawn[self._rng.random(self._count) < _MISSING] = "tiffin-unknown"
        return drawn

    def _around(self, middle: Any, spread: Any, missing: float = 0.0) -> List[Any]:
        import numpy as np

        rows = self._rng.normal(np.asarray(middle, float), np.asarray(spread, float), (self._count, len(middle)))
        rows[self._rng.random(rows.shape) < missing] = np.nan
        return list(rows.T)

    def _beside(self, splits: List[float], missing: float) -> Any:
        """Draw on both sides of thresholds, most of it at the distance of one to the next."""
        import numpy as np

        if not len(splits):
            return self._rng.normal(size=self._count)
        known = np.unique(np.asarray(splits, dtype=np.float64))
        gap = float(np.median(np.diff(known))) if len(known) > 1 else max(abs(float(known[0])), 1.0)
        drawn = self._rng.choice(known, self._count) + gap * self._rng.normal(size=self._count)
        drawn[self._rng.random(self._count) < missing] = np.nan
        return drawn

    def _sentences(self, vectorizer: Any) -> Any:
        """Put a few words that the vectorizer knows into each text."""
        import numpy as np

        words = np.array(sorted(getattr(vectorizer, "vocabulary_", None) or ["word"]), dtype=object)
        lengths = self._rng.integers(1, 12, self._count)
        return [" ".join(words[self._rng.integers(len(words), size=length)]) for length in lengths]


def _ranges(estimator: Any) -> Any:
    """The middle and spread of what an estimator was fitted on, the share that may be missing; None if it forgot."""
    import numpy as np

    scale = getattr(estimator, "scale_", None)
    if scale is not None and getattr(estimator, "mean_", None) is not None:
        return estimator.mean_, 1.5 * np.asarray(scale)
    if scale is not None and getattr(estimator, "center_", None) is not None:
        return estimator.center_, np.asarray(scale)
    if getattr(estimator, "data_min_", None) is not None:
        return (estimator.data_min_ + estimator.data_max_) / 2, (estimator.data_max_ - estimator.data_min_) / 3
    statistics = getattr(estimator, "statistics_", None)
    if statistics is not None and np.asarray(statistics).dtype.kind == "f":
        return statistics, np.maximum(np.abs(statistics), 1.0) / 2, _MISSING
    for name in ("_fit_X", "support_vectors_", "theta_", "cluster_centers_"):
        seen = getattr(estimator, name, None)
        if isinstance(seen, np.ndarray) and seen.ndim == 2 and len(seen):  # noqa: PLR2004 - a matrix
            return seen.mean(axis=0), np.maximum(seen.std(axis=0), 1e-3) * 1.5
    return None


def _takes_missing(estimator: Any) -> bool:
    """Say whether its trees send missing values somewhere on purpose."""
    name = type(estimator).__name__
    return name.startswith(("HistGradientBoosting", "XGB")) or type(estimator).__module__.startswith("xgboost")


def _balanced(estimator: Any, width: int) -> Any:
    """Spread each feature by what its coefficient makes of it, so that every feature matters."""
    import numpy as np

    coefficients = getattr(estimator, "coef_", None)
    if isinstance(coefficients, np.ndarray) and coefficients.size and coefficients.shape[-1] == width:
        size = np.abs(np.atleast_2d(coefficients)).max(axis=0)
        return np.zeros(width), np.clip(1 / np.maximum(size, 1e-9), 1e-3, 1e3)
    return np.zeros(width), np.ones(width)


# --- thresholds of trees ---------------------------------------------------------------------------------------------


def thresholds(estimator: Any, depth: int = 0) -> "Dict[int, List[float]]":
    """Collect the thresholds of every tree in an estimator, by the position of the feature."""
    found: "Dict[int, List[float]]" = {}
    for feature, value in _splits(estimator, depth):
        found.setdefault(int(feature), []).append(float(value))
    return found


def _splits(estimator: Any, depth: int) -> Any:
    if hasattr(estimator, "get_booster"):
        estimator = estimator.get_booster()
    if hasattr(estimator, "booster_"):
        estimator = estimator.booster_
    kind = type(estimator).__module__.partition(".")[0] + "." + type(estimator).__name__
    if kind == "xgboost.Booster":
        return _of_xgboost(estimator)
    if kind == "lightgbm.Booster":
        return _of_lightgbm(estimator)
    tree = getattr(estimator, "tree_", None)
    if tree is not None and hasattr(tree, "threshold"):
        return [pair for pair in zip(tree.feature, tree.threshold) if pair[0] >= 0]  # noqa: B905 - strict= is Python 3.10
    if hasattr(estimator, "_predictors"):
        nodes = [tree.nodes for trees in estimator._predictors for tree in trees]  # noqa: SLF001 - nowhere else
        return [(node["feature_idx"], node["num_threshold"]) for tree in nodes for node in tree if not node["is_leaf"]]
    if depth > _MOST_DEEP:
        return []
    return [pair for inner in _inside(estimator) for pair in _splits(inner, depth + 1)]


def _inside(estimator: Any) -> Any:
    """Every estimator that an ensemble holds."""
    for name in ("estimators_", "estimator_", "calibrated_classifiers_", "estimator", "final_estimator_"):
        inner = getattr(estimator, name, None)
        listed = inner.ravel().tolist() if inner is not None and hasattr(inner, "ravel") else inner
        for one in listed if isinstance(listed, (list, tuple)) else [listed]:
            if hasattr(one, "predict") and not isinstance(one, type):
                yield one


def _of_xgboost(booster: Any) -> Any:
    names = {name: place for place, name in enumerate(booster.feature_names or ())}
    waiting = [json.loads(tree) for tree in booster.get_dump(dump_format="json")]
    while waiting:
        node = waiting.pop()
        if "split" in node and "split_condition" in node and isinstance(node["split_condition"], (int, float)):
            name = str(node["split"])
            yield names[name] if name in names else int(name.lstrip("f")), node["split_condition"]
        waiting.extend(node.get("children", ()))


def _of_lightgbm(booster: Any) -> Any:
    waiting = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    while waiting:
        node = waiting.pop()
        if isinstance(node.get("threshold"), (int, float)):
            yield node["split_feature"], node["threshold"]
        waiting.extend(node[side] for side in ("left_child", "right_child") if side in node)
