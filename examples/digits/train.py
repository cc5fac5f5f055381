"""Train a small convolution to read handwritten digits, and write it as an ONNX graph that takes pictures of 8 x 8.

Its filters are what pieces of 3 x 3 pixels typically look like, its last layer is a logistic regression. One picture in
five is kept for the test. The requests in checks/ are pictures of the test with the digits that people read in them, so
that a model has to be right, and not only the same as the last one.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

FILTERS, SIZE, BRIGHTEST = 24, 3, 16


def filters_of(pictures: np.ndarray) -> np.ndarray:
    """Find what pieces of pictures look like, each without its average and of length one."""
    pieces = np.lib.stride_tricks.sliding_window_view(pictures, (SIZE, SIZE), axis=(1, 2)).reshape(-1, SIZE * SIZE)
    pieces = pieces - pieces.mean(axis=1, keepdims=True)
    pieces = pieces[np.linalg.norm(pieces, axis=1) > 1]
    some = pieces[:: max(1, len(pieces) // 4000)]
    centers = KMeans(FILTERS, n_init=1, random_state=0).fit(some).cluster_centers_
    return (centers / np.linalg.norm(centers, axis=1, keepdims=True)).reshape(FILTERS, SIZE, SIZE)


def features_of(pictures: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """What the graph computes before its last layer: convolution, ReLU, and the average of 2 x 2 neighbours."""
    pieces = np.lib.stride_tricks.sliding_window_view(pictures, (SIZE, SIZE), axis=(1, 2))
    found = np.maximum(np.einsum("nyxij,fij->nfyx", pieces, filters), 0)
    rows, count, height, width = found.shape
    return found.reshape(rows, count, height // 2, 2, width // 2, 2).mean(axis=(3, 5)).reshape(rows, -1)


def graph_of(filters: np.ndarray, last: LogisticRegression) -> onnx.ModelProto:
    """Write it all as one graph; brightness from 0 to 16 is scaled in it, so that nobody has to do it before."""
    constants = {
        "filters": filters[:, None].astype(np.float32),
        "weights": last.coef_.T.astype(np.float32),
        "bias": last.intercept_.astype(np.float32),
        "brightest": np.array(BRIGHTEST, np.float32),
        "channel": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Div", ["pictures", "brightest"], ["scaled"]),
        helper.make_node("Unsqueeze", ["scaled", "channel"], ["images"]),
        helper.make_node("Conv", ["images", "filters"], ["found"]),
        helper.make_node("Relu", ["found"], ["lit"]),
        helper.make_node("AveragePool", ["lit"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["digit"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["rows", 8, 8])],
        [
            helper.make_tensor_value_info("digit", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 10]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_checks(folder: Path, pictures: np.ndarray, digits: np.ndarray) -> None:
    """Write the two pictures of each digit that are nearest to all of its kind, which nobody could mistake."""
    chosen = np.concatenate([_clearest(pictures, np.flatnonzero(digits == digit)) for digit in range(10)])
    asked = {"name": "pictures", "datatype": "FP32", "shape": [len(chosen), 8, 8]}
    read = {"name": "digit", "datatype": "INT64", "shape": [len(chosen)]}
    folder.mkdir(exist_ok=True)
    inputs = [{**asked, "data": pictures[chosen].astype(int).ravel().tolist()}]
    request = {"inputs": inputs, "outputs": [{"name": "digit"}]}
    (folder / "pictures.json").write_text(json.dumps(request) + "\n")
    answer = {"outputs": [{**read, "data": digits[chosen].tolist()}]}
    (folder / "digits.json").write_text(json.dumps(answer) + "\n")


def _clearest(pictures: np.ndarray, those: np.ndarray) -> np.ndarray:
    distances = np.linalg.norm(pictures[those] - pictures[those].mean(axis=0), axis=(1, 2))
    return those[np.argsort(distances, kind="stable")[:2]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, help="train on so many pictures only")
    rows = parser.parse_args().rows
    here = Path(__file__).parent
    data = load_digits()
    train, test, train_digits, test_digits = train_test_split(
        data.images, data.target, test_size=0.2, stratify=data.target, random_state=0
    )
    write_checks(here / "checks", test, test_digits)
    if rows:
        train, _, train_digits, _ = train_test_split(
            train, train_digits, train_size=rows, stratify=train_digits, random_state=0
        )
    train = train / BRIGHTEST
    filters = filters_of(train)
    last = LogisticRegression(C=10, max_iter=500).fit(features_of(train, filters), train_digits)
    onnx.save(graph_of(filters, last), here / "model.onnx")
    right = last.score(features_of(test / BRIGHTEST, filters), test_digits)
    print(f"model.onnx: trained on {len(train)} pictures, right on {right:.1%} of {len(test)} others")
