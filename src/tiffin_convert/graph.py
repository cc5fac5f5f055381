"""The converted graph, dressed so that it takes and gives exactly what the model itself did.

Converters name and type tensors as they like. Around their graph come a cast for each input and each output, so that
names, datatypes and the order of columns are those that the model's loader announces; what a graph has no words for, the
classes and the names of columns, is kept beside it (`metadata_props`), where the worker finds it.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

SINGLE, DOUBLE = "single", "double"
_OPSETS = {"": 17, "ai.onnx.ml": 3}
_TREES = 15
"""The greatest operator set that onnxmltools writes."""
_LEAST = 9
"""The least with which what is put around a graph means what is meant here; converters write the least they need."""
_IR = 9
SIGNATURE = "tiffin.signature"
"""The metadata property in which a graph keeps what it cannot say; spec of the worker's loader."""
_INNER = "model/"
_ROWS = "rows"
_LOCALE = "C.UTF-8"
"""By which onnxruntime folds texts to lower case: the one locale that every image has."""


class UnfitError(Exception):
    """This model cannot become a graph that answers as it does, in whatever precision."""


def converted(model: Any, precision: str) -> "Tuple[bytes, int]":
    """Convert a loaded model to a file; gives its operator set too. Raises UnfitError, or what the converter raises."""
    import onnx

    _refuse(model)
    split = _selects_by_name(model)
    inner = onnx.compose.add_prefix(_convert(model, precision, split), _INNER)
    graph = onnx.helper.make_graph(
        [*_inputs(model.signature, inner.graph, split), *inner.graph.node, *_outputs(model.signature, inner.graph)],
        "tiffin",
        [_value(spec) for spec in model.signature["inputs"]],
        [_value(spec) for spec in model.signature["outputs"]],
        [*inner.graph.initializer, *_shapes(len(model.signature["columns"]) if split else 0)],
    )
    _drop_unused(graph)
    made = onnx.helper.make_model(graph, opset_imports=_opsets(inner), ir_version=_IR, producer_name="tiffin")
    made.functions.extend(inner.functions)
    known = {name: model.signature[name] for name in ("columns", "classes", "probability")}
    onnx.helper.set_model_props(made, {SIGNATURE: json.dumps(known, sort_keys=True)})
    onnx.checker.check_model(made)
    (opset,) = [opset.version for opset in made.opset_import if not opset.domain]
    return bytes(made.SerializeToString(deterministic=True)), opset


def _refuse(model: Any) -> None:
    """Refuse what no converter can do, before they try."""
    if isinstance(getattr(model.fitted, "classes_", None), list):
        raise UnfitError("it predicts several labels a row, and no converter keeps their names")
    names = {spec["name"] for spec in model.signature["inputs"]}
    both = names & {spec["name"] for spec in model.signature["outputs"]}
    if both:
        raise UnfitError("a column is called `%s`, as an output is, and a graph has each name once" % both.pop())
    if any(-1 in spec["shape"][1:] for spec in model.signature["inputs"]):
        raise UnfitError("it does not say how many features it takes (n_features_in_)")


# --- the converters --------------------------------------------------------------------------------------------------


def _convert(model: Any, precision: str, split: bool) -> Any:
    import importlib

    kind = type(model.fitted).__module__.partition(".")[0] + "." + type(model.fitted).__name__
    if kind == "xgboost.Booster":
        return _xgboost(model.fitted)
    if kind == "lightgbm.Booster":
        return _lightgbm(model.fitted)
    importlib.import_module("sklearn")
    return _sklearn(model, precision, split)


def _sklearn(model: Any, precision: str, split: bool) -> Any:
    from skl2onnx import convert_sklearn

    _register()
    estimator = model.fitted
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    options: "Dict[int, Dict[str, Any]]" = {
        id(part): {"locale": _LOCALE} for part in parts(estimator) if hasattr(part, "build_analyzer")
    }
    if model.signature["probability"]:
        options[id(estimator)] = {"zipmap": False}
    types = _types(model.signature, precision, split)
    return convert_sklearn(estimator, "tiffin", types, target_opset=_OPSETS, options=options or None)


def _types(signature: "Dict[str, Any]", precision: str, split: bool) -> "List[Tuple[str, Any]]":
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
    """Make integers of the booleans that skl2onnx 1.20 writes for missing values: protobuf 7 takes none for a number."""
    add_node = tree_ensemble.add_node

    def whole(*arguments: Any, **named: Any) -> Any:
        for name in ("nodes_missing_value_tracks_true",):
            if name in named:
                named[name] = int(named[name])
        return add_node(*arguments, **named)

    if add_node.__name__ != "whole":
        tree_ensemble.add_node = whole


def _installed(name: str) -> Any:
    import importlib

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


# --- the dress -------------------------------------------------------------------------------------------------------


def _inputs(signature: "Dict[str, Any]", inner: Any, split: bool) -> List[Any]:
    """Lead each input to the graph's own: cast, brought into columns, or all columns of one matrix apart."""
    import onnx

    make = onnx.helper.make_node
    kinds = {value.name: value.type.tensor_type.elem_type for value in inner.input}
    if split:
        (given,) = signature["inputs"]
        nodes = []
        for place, column in enumerate(signature["columns"]):
            inside = _INNER + column
            if inside in kinds:
                nodes.append(make("Gather", [given["name"], "place/%d" % place], ["column/%d" % place], axis=1))
                nodes.append(make("Cast", ["column/%d" % place], [inside], to=kinds[inside]))
        return nodes
    nodes = []
    for spec in signature["inputs"]:
        name, inside = spec["name"], _INNER + spec["name"]
        if inside not in kinds:
            continue  # a column that no part of the pipeline reads
        if len(spec["shape"]) == 1:
            nodes.append(make("Reshape", [name, _UPRIGHT], [inside]))
        elif spec["datatype"] == "BYTES":
            nodes.append(make("Identity", [name], [inside]))
        else:
            nodes.append(make("Cast", [name], [inside], to=kinds[inside]))
    return nodes


_FLAT, _UPRIGHT = "shape/flat", "shape/upright"


def _shapes(columns: int) -> List[Any]:
    """What Reshape and Gather are told: one dimension, one column, and the place of each column."""
    import numpy as np
    import onnx

    known = {_FLAT: [-1], _UPRIGHT: [-1, 1], **{"place/%d" % place: [place] for place in range(columns)}}
    return [onnx.numpy_helper.from_array(np.array(value, np.int64), name) for name, value in known.items()]


def _drop_unused(graph: Any) -> None:
    """Leave out what no node reads, which onnxruntime would warn of."""
    read = {name for node in graph.node for name in node.input}
    kept = [value for value in graph.initializer if value.name in read or value.name.startswith(_INNER)]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _outputs(signature: "Dict[str, Any]", inner: Any) -> List[Any]:
    """Lead the graph's own outputs to those that are announced, in their order: the label or value, probabilities."""
    import onnx

    make = onnx.helper.make_node
    if len(inner.output) < len(signature["outputs"]):
        raise UnfitError("its converter gives no probabilities")
    nodes = []
    for spec, value in zip(signature["outputs"], inner.output):  # noqa: B905 - strict= is Python 3.10
        flat = value.name
        rank = len(value.type.tensor_type.shape.dim)
        if len(spec["shape"]) == 1 and rank != 1:
            flat = "flat/" + spec["name"]
            nodes.append(make("Reshape", [value.name, _FLAT], [flat]))
        if spec["datatype"] == "BYTES":
            nodes.append(make("Identity", [flat], [spec["name"]]))
        else:
            nodes.append(make("Cast", [flat], [spec["name"]], to=_kind(spec["datatype"])))
    return nodes


def _value(spec: "Dict[str, Any]") -> Any:
    import onnx

    shape = [_ROWS, *(size if size >= 0 else None for size in spec["shape"][1:])]
    return onnx.helper.make_tensor_value_info(spec["name"], _kind(spec["datatype"]), shape)


def _kind(datatype: str) -> int:
    from onnx import TensorProto

    kinds = {"BYTES": "STRING", "FP32": "FLOAT", "FP64": "DOUBLE"}
    return int(getattr(TensorProto, kinds.get(datatype, datatype)))


def _opsets(inner: Any) -> List[Any]:
    import onnx

    versions = {opset.domain: opset.version for opset in inner.opset_import}
    versions[""] = max(versions.get("", 0), _LEAST)
    return [onnx.helper.make_opsetid(domain, version) for domain, version in sorted(versions.items())]


def _selects_by_name(model: Any) -> bool:
    """Say whether the model is given one matrix, and a part of it takes columns out of that by name."""
    signature = model.signature
    if not signature["columns"] or len(signature["inputs"]) != 1:
        return False
    return any(
        isinstance(item, str)
        for part in parts(model.fitted)
        for _, _, columns in getattr(part, "transformers_", None) or ()
        for item in ([columns] if isinstance(columns, str) else columns if isinstance(columns, (list, tuple)) else ())
    )


def parts(estimator: Any) -> Any:
    """Walk an estimator and those inside it, as the worker does."""
    from tiffin_serve.worker.loaders.sklearn import _parts

    return _parts(estimator)
