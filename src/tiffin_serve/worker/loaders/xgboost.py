"""XGBoost's own files through a `Booster`; scikit-learn is not needed."""

from __future__ import annotations

import json
from typing import Any, Sequence

from tiffin_serve.worker.loaders.scores import Scores
from tiffin_serve.worker.model import Model, tensor
from tiffin_serve.worker.threads import threads

FORMATS = ("xgboost",)

_TWO_CLASSES = {"binary:logistic"}
_MORE_CLASSES = {"multi:softprob"}


def load(format_: str, path: str, predictor: str) -> Model:
    """Load the trees, to be walked by as many threads as a worker may have."""
    del format_, predictor
    import xgboost

    booster = xgboost.Booster({"nthread": threads()})
    booster.load_model(path)
    booster.set_param({"nthread": threads()})
    if "c" in (booster.feature_types or ()):
        raise ValueError(
            "the model was fitted on categories, which its file keeps as codes: serve it by a class of your own"
        )
    return XgboostModel(booster)


class XgboostModel:
    """A booster; XGBoost computes in single precision, so that is what it is sent."""

    def __init__(self, booster: Any) -> None:
        self.fitted = self._booster = booster
        learner = json.loads(booster.save_config())["learner"]
        objective, counts = learner["objective"]["name"], learner["learner_model_param"]
        width = max(int(counts.get("num_target", 1)), 1)
        classes = int(counts["num_class"]) if objective in _MORE_CLASSES else 2 * (objective in _TWO_CLASSES)
        self._scores = Scores(classes if width == 1 else 0, "FP32", width)
        self._linear = learner["gradient_booster"]["name"] == "gblinear"
        self._range = self._best_range()
        self.signature = self._scores.signature(
            "xgboost", tensor("input", "FP32", [-1, booster.num_features()]), list(booster.feature_names or ())
        )

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Predict values, or the probabilities of the classes and the more likely one; NaN is a missing value."""
        del parameters
        return self._scores.named(self._raw(inputs["input"]), wanted)

    def _raw(self, rows: Any) -> Any:
        if not self._linear:
            return self._booster.inplace_predict(rows, iteration_range=self._range)
        import xgboost

        matrix = xgboost.DMatrix(rows, feature_names=self._booster.feature_names, nthread=threads())
        return self._booster.predict(matrix, iteration_range=self._range)

    def _best_range(self) -> "tuple[int, int]":
        """Early stopping leaves worse trees behind; scikit-learn's interface of XGBoost predicts without them."""
        attributes = self._booster.attributes()
        if "scikit_learn" in attributes and "best_iteration" in attributes:
            return 0, int(attributes["best_iteration"]) + 1
        return 0, 0
