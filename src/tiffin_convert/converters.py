"""The converters of others: skl2onnx for scikit-learn, onnxmltools for XGBoost and LightGBM, alone or in a pipeline."""

from __future__ import annotations

import importlib
from typing import Any, Dict, List, Tuple

from tiffin_serve.worker.loaders.sklearn import _parts

SINGLE, DOUBLE = "single", "double"
_OPSETS = {"": 17, "ai.onnx.ml": 3}
_TREES = 15
"""The greatest operator set that onnxmltools writes."""
_LOCALE = "C.UTF-8"
"""By which onnxruntime folds texts to lower case: the one locale that every image has."""
_TRACKS = "nodes_missing_value_tracks_true"


def inner_graph(model: Any, precision: str, *, split: bool) -> Any:
    """Convert a loaded model in some precision; its inputs are named as the signature's, or `split` as its columns."""
    kind = type(model.fitted).__module__.partition(".")[0] + "." + type(model.fitted).__name__
    if kind == "xgboost.Booster":
        return _xgboost(model.fitted)
    if kind == "lightgbm.Booster":
        return _lightgbm(model.fitted)
    return _sklearn(model, precision, split=split)


def _sklearn(model: Any, precision: str, *, split: bool) -> Any:
    from skl2onnx import convert_sklearn

    _register()
    estimator = model.fitted
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    options: "Dict[int, Dict[str, Any]]" = {
        id(part): {"locale": _LOCALE} for part in _parts(estimator) if hasattr(part, "build_analyzer")
    }
    if model.signature["probability"]:
        options[id(estimator)] = {"zipmap": False}
    types = _types(model.signature, precision, split=split)
    return convert_sklearn(estimator, "tiffin", types, target_opset=_OPSETS, options=options or None)


def _types(signature: "Dict[str, Any]", precision: str, *, split: bool) -> "List[Tuple[str, Any]]":
    from skl2onnx.common import data_types

    number = data_types.FloatTensorType if precision == SINGLE else data_types.DoubleTensorType
    if split:
        return [(column, number([None, 1])) for column in signature["columns"]]
    return [
        (spec["name"], (data_types.StringTensorType if spec["datatype"] == "BYTES" else number)([None, _width(spec)]))
        for spec in signature["inputs"]
    ]


def _width(spec: "Dict[str, Any]") -> int:
    return int(spec["shape"][1]) if len(spec["shape"]) > 1 else 1


def _register() -> None:
    """Let skl2onnx convert XGBoost's and LightGBM's estimators inside pipelines, where they are installed."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import tree_ensemble
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes as classifier,
    )
    from skl2onnx.common.shape_calculator import (
        calculate_linear_regressor_output_shapes as regressor,
    )

    _take_no_booleans(tree_ensemble)
    choices = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    if (xgb := _installed("xgboost")) is not None:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        update_registered_converter(xgb.XGBClassifier, "XgbClassifier", classifier, convert_xgboost, options=choices)
        update_registered_converter(xgb.XGBRegressor, "XgbRegressor", regressor, convert_xgboost)
    if (lgb := _installed("lightgbm")) is not None:
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        update_registered_converter(lgb.LGBMClassifier, "LgbClassifier", classifier, convert_lightgbm, options=choices)
        update_registered_converter(lgb.LGBMRegressor, "LgbRegressor", regressor, convert_lightgbm)


def _take_no_booleans(tree_ensemble: Any) -> None:
    """Make numbers of skl2onnx 1.20's booleans for missing values: protobuf 7 takes none of those."""
    add_node = tree_ensemble.add_node

    def whole(*arguments: Any, **named: Any) -> Any:
        if _TRACKS in named:
            named[_TRACKS] = int(named[_TRACKS])
        return add_node(*arguments, **named)

    if add_node.__name__ != "whole":
        tree_ensemble.add_node = whole


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _xgboost(booster: Any) -> Any:
    from onnxmltools.convert import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    columns, booster.feature_names = booster.feature_names, None  # its converter reads `f0`, `f1`, ... alone
    try:
        types = [("input", FloatTensorType([None, booster.num_features()]))]
        return convert_xgboost(booster, "tiffin", types, target_opset=_TREES)
    finally:
        booster.feature_names = columns


def _lightgbm(booster: Any) -> Any:
    from onnxmltools.convert import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [("input", FloatTensorType([None, booster.num_feature()]))]
    return convert_lightgbm(booster, "tiffin", types, target_opset=_TREES, zipmap=False)
