"""LightGBM's own text files through a `Booster`; scikit-learn is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Sequence

from tiffin_serve.worker.loaders.scores import Scores
from tiffin_serve.worker.model import Model, tensor
from tiffin_serve.worker.threads import threads

FORMATS = ("lightgbm",)


def load(format_: str, path: str, predictor: str) -> Model:
    """Load the trees, to be walked by as many threads as a worker may have."""
    del format_, predictor
    import lightgbm

    booster = lightgbm.Booster(model_file=path)
    if any(booster.pandas_categorical or ()):
        raise ValueError(
            "the model was fitted on pandas categories, which its file keeps as codes: serve it by a class of your own"
        )
    return LightgbmModel(booster, _header(path))


class LightgbmModel:
    """A booster and what the first lines of its file say."""

    def __init__(self, booster: Any, header: "Dict[str, str]") -> None:
        self.fitted = self._booster = booster
        self._threads = threads()
        objective, width = header.get("objective", "").partition(" ")[0], int(header["num_tree_per_iteration"])
        classes = {"binary": 2, "multiclass": width, "multiclassova": width}.get(objective, 0)
        self._scores = Scores(classes, "FP64", 1 if classes else width)
        self.signature = self._scores.signature(
            "lightgbm", tensor("input", "FP64", [-1, booster.num_feature()]), booster.feature_name()
        )

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Predict values, or the probabilities of the classes and the more likely one; NaN is a missing value."""
        del parameters
        return self._scores.named(self._booster.predict(inputs["input"], num_threads=self._threads), wanted)


def _header(path: str) -> "Dict[str, str]":
    """Read `key=value` lines up to the first empty one."""
    header = {}
    with Path(path).open(encoding="utf-8") as file:
        for line in file:
            if not line.strip():
                break
            key, _, value = line.rstrip("\n").partition("=")
            header[key] = value
    return header
