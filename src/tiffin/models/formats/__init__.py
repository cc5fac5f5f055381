"""Every format there is, one file a family: how a model is recognised by names and first bytes."""

from __future__ import annotations

from tiffin.models.formats import lightgbm, mlflow, onnx, sklearn, skops, tensorflow, torch, transformers, xgboost
from tiffin.models.formats.format import Format

FORMATS: tuple[Format, ...] = (
    *mlflow.FORMATS,
    *sklearn.FORMATS,
    *skops.FORMATS,
    *onnx.FORMATS,
    *xgboost.FORMATS,
    *lightgbm.FORMATS,
    *torch.FORMATS,
    *transformers.FORMATS,
    *tensorflow.FORMATS,
)
"""Every format, in the order they are asked; a folder is asked about before what lies in it."""
