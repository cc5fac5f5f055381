"""Training what everyone serves, in an environment of its own: iris by scikit-learn, an image model by hand."""

from __future__ import annotations

from pathlib import Path

from benchmarks.command import Command

from .peer import MODEL_PACKAGES
from .samples import EXPECTED

REQUIREMENTS = (*MODEL_PACKAGES, "onnx", "skl2onnx")
PROGRAM = '''\
import json
import time

import joblib
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

generator = np.random.default_rng(7)


def image_model():
    """Two convolutions with stride 4, the mean of each of 16 planes, ten classes."""

    def weights(name, *shape):
        return numpy_helper.from_array(generator.normal(0, 0.2, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["input", "w1"], ["c1"], kernel_shape=[3, 3], strides=[4, 4]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], kernel_shape=[3, 3], strides=[4, 4]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w3"], ["predict"]),
    ]
    first = [weights("w1", 8, 3, 3, 3), weights("w2", 16, 8, 3, 3), weights("w3", 16, 10)]
    images = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 224, 224])
    scores = helper.make_tensor_value_info("predict", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "image", [images], [scores], first)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def median_seconds(call, times=300):
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[times // 2]


features, labels = load_iris(return_X_y=True)
rows = features[generator.permutation(len(features))[:64]]
pixels = generator.random((1, 3, 224, 224), dtype=np.float32).round(3)
lr = LogisticRegression(max_iter=1000).fit(features, labels)
rf = RandomForestClassifier(100, random_state=0).fit(features, labels)
joblib.dump(lr, "lr.joblib")
joblib.dump(rf, "rf.joblib")
converted = to_onnx(rf, features[:1].astype(np.float32), options={"zipmap": False}, target_opset=17)
graph = converted.graph
names = {graph.input[0].name: "input", graph.output[0].name: "predict"}
graph.input[0].name, graph.output[0].name = "input", "predict"
for node in graph.node:
    for tensors in (node.input, node.output):
        for place, name in enumerate(tensors):
            tensors[place] = names.get(name, name)
onnx.checker.check_model(converted)
onnx.save(converted, "rf.onnx")
onnx.save(image_model(), "image.onnx")
image, forest, row = session("image.onnx"), session("rf.onnx"), rows[:1]
scores = image.run(["predict"], {"input": pixels})[0]
same = forest.run(["predict"], {"input": rows.astype(np.float32)})[0]
assert (same == rf.predict(rows)).all()
expected = {
    "no-op": rows.sum(axis=1).tolist(),
    "LogisticRegression": lr.predict(rows).tolist(),
    "RandomForest(100)": rf.predict(rows).tolist(),
    "RandomForest(100), ONNX": same.tolist(),
    "image": scores.ravel().tolist(),
}
single = row.astype(np.float32)
seconds = {
    "no-op": median_seconds(lambda: row.sum(axis=1)),
    "LogisticRegression": median_seconds(lambda: lr.predict(row)),
    "RandomForest(100)": median_seconds(lambda: rf.predict(row), 30),
    "RandomForest(100), ONNX": median_seconds(lambda: forest.run(["predict"], {"input": single})),
    "image": median_seconds(lambda: image.run(["predict"], {"input": pixels}), 50),
}
open("rows.json", "w").write(json.dumps(rows.tolist()))
open("pixels.raw", "wb").write(pixels.tobytes())
open("expected.json", "w").write(json.dumps({"expected": expected, "seconds": seconds}))
'''


def train(python: Path, folder: Path) -> None:
    """Write artefacts, questions and answers into a folder, unless they are there."""
    if (folder / EXPECTED).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    Command([str(python), "-c", PROGRAM], {"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}, folder).run()
