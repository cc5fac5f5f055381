"""What an ONNX file says beside its graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tiffin_serve.worker.loaders import load


def written(path: Path, properties: dict[str, str]) -> str:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["input"], ["odds"])],
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("odds", TensorProto.FLOAT, ["rows", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, properties)
    onnx.save(model, path / "m.onnx")
    return str(path / "m.onnx")


def test_a_converted_model_names_its_columns_and_classes(tmp_path: Path) -> None:
    kept = {"columns": ["a", "b"], "classes": ["no", "yes"], "probability": "odds"}
    model = load("onnx", written(tmp_path, {"tiffin.signature": json.dumps(kept)}), "")
    assert {name: model.signature[name] for name in kept} == kept
    assert model.predict({"input": np.ones((1, 2), np.float32)}, (), {})["odds"].tolist() == [[1, 1]]


def test_any_other_file_keeps_what_its_graph_declares(tmp_path: Path) -> None:
    signature = load("onnx", written(tmp_path, {"author": "somebody"}), "").signature
    assert signature["probability"] == ""
    assert "columns" not in signature


@pytest.mark.parametrize("text", ["{", "[]", '{"columns": 3}'])
def test_a_property_that_means_nothing_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tiffin\.signature"):
        load("onnx", written(tmp_path, {"tiffin.signature": text}), "")
