"""One file a kind of model; a loader imports its framework inside `load`, so that only the one needed is imported."""

from __future__ import annotations

from typing import Tuple

from tiffin_serve.worker.loaders import (
    keras,
    lightgbm,
    mlflow,
    onnx,
    python,
    sklearn,
    skops,
    tensorflow,
    torch,
    transformers,
    xgboost,
)
from tiffin_serve.worker.model import Loader, Model

LOADERS: "Tuple[Loader, ...]" = (
    sklearn,
    skops,
    onnx,
    xgboost,
    lightgbm,
    torch,
    transformers,
    keras,
    tensorflow,
    mlflow,
    python,
)


def load(format_: str, path: str, predictor: str) -> Model:
    """Load a model with the loader that names its format; raises what the framework raises."""
    for loader in LOADERS:
        if format_ in loader.FORMATS:
            return loader.load(format_, path, predictor)
    known = ", ".join(name for loader in LOADERS for name in loader.FORMATS)
    raise ValueError("there is no loader for the format %s; there are %s" % (format_, known))
