"""Train a classifier on the iris data and write it as an ONNX graph: one product of matrices and a softmax."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def graph_of(model: LogisticRegression) -> onnx.ModelProto:
    weights = numpy_helper.from_array(model.coef_.T.astype(np.float32), "weights")
    bias = numpy_helper.from_array(model.intercept_.astype(np.float32), "bias")
    nodes = [
        helper.make_node("Gemm", ["flowers", "weights", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    flowers = helper.make_tensor_value_info("flowers", TensorProto.FLOAT, ["rows", 4])
    label = helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3])
    graph = helper.make_graph(nodes, "iris", [flowers], [label, probabilities], [weights, bias])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


if __name__ == "__main__":
    folder = Path(__file__).parent
    data, target = load_iris(return_X_y=True)
    model, rows = LogisticRegression(max_iter=500).fit(data, target), data[::30]
    onnx.save(graph_of(model), folder / "model.onnx")
    expected = {"predictions": model.predict(rows).tolist(), "probabilities": model.predict_proba(rows).tolist()}
    (folder / "request.json").write_text(json.dumps(rows.tolist()))
    (folder / "expected.json").write_text(json.dumps(expected))
    print("wrote model.onnx, a request and the answer it must get")
