"""The converted graph, dressed so that it takes and gives exactly what the model itself did.

Converters name and type tensors as they like. Around their graph come a cast for each input and each output, so that
names, datatypes and the order of columns are those that the model's loader announces. What a graph has no words for,
the classes and the names of columns, is kept beside it (`metadata_props`), where the worker finds it.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

from tiffin_convert.converters import inner_graph
from tiffin_serve.worker.loaders.sklearn import _parts

_LEAST = 9
"""The least with which what is put around a graph means what is meant here; converters write the least they need."""
_IR = 9
SIGNATURE = "tiffin.signature"
"""The metadata property in which a graph keeps what it cannot say; spec of the worker's loader."""
_INNER = "model/"
_ROWS = "rows"


class UnfitError(Exception):
    """This model cannot become a graph that answers as it does, in whatever precision."""


def converted(model: Any, precision: str) -> "Tuple[bytes, int]":
    """Convert a loaded model to a file; gives its operator set too. Raises UnfitError, or what the converter raises."""
    import onnx

    _refuse(model)
    split = _selects_by_name(model)
    inner = onnx.compose.add_prefix(inner_graph(model, precision, split=split), _INNER)
    graph = onnx.helper.make_graph(
        [
            *_inputs(model.signature, inner.graph, split=split),
            *inner.graph.node,
            *_outputs(model.signature, inner.graph),
        ],
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


def _inputs(signature: "Dict[str, Any]", inner: Any, *, split: bool) -> List[Any]:
    """Lead each input to the graph's own: cast, brought into columns, or all columns of one matrix apart."""
    import onnx

    make = onnx.helper.make_node
    wanted = [(value.name, value.type.tensor_type.elem_type) for value in inner.input]  # in order, with other names
    nodes = []
    if split:
        (given,) = signature["inputs"]
        for place, (inside, kind) in enumerate(wanted):
            nodes.append(make("Gather", [given["name"], "place/%d" % place], ["column/%d" % place], axis=1))
            nodes.append(make("Cast", ["column/%d" % place], [inside], to=kind))
        return nodes
    for spec, (inside, kind) in zip(signature["inputs"], wanted):  # noqa: B905 - strict= is Python 3.10
        if len(spec["shape"]) == 1:
            nodes.append(make("Reshape", [spec["name"], _UPRIGHT], [inside]))
        elif spec["datatype"] == "BYTES":
            nodes.append(make("Identity", [spec["name"]], [inside]))
        else:
            nodes.append(make("Cast", [spec["name"]], [inside], to=kind))
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
        for part in _parts(model.fitted)
        for _, _, columns in getattr(part, "transformers_", None) or ()
        for item in ([columns] if isinstance(columns, str) else columns if isinstance(columns, (list, tuple)) else ())
    )
