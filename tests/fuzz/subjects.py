"""The models that are asked, and valid requests to them with the answers they must get."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np

from fuzz.drafts import Draft

JSON = (b"Content-Type", b"application/json")
OIP = b"/v2/models/iris/infer"
TABLE = """
import numpy

class Predictor:
    inputs = {"a": ("FP64", [-1]), "b": ("INT64", [-1]), "c": ("BYTES", [-1])}
    outputs = {"y": ("FP64", [-1])}

    def predict(self, inputs):
        with numpy.errstate(all="ignore"):
            lengths = numpy.array([len(text) for text in inputs["c"]], "f8")
            return inputs["a"] + inputs["b"].astype("f8") + lengths
"""
MATRIX = """
import numpy

class Predictor:
    inputs = {"x": ("FP64", [-1, 3])}
    outputs = {"y": ("FP64", [-1])}

    def predict(self, inputs):
        with numpy.errstate(all="ignore"):
            return inputs["x"].sum(axis=1)
"""
FREE = """
class Predictor:
    def predict(self, inputs):
        return dict(inputs)
"""
STREAM = """
class Predictor:
    inputs = {"text": ("BYTES", [-1])}
    outputs = {"text": ("BYTES", [-1])}

    def predict(self, inputs):
        for text in list(inputs["text"])[:3]:
            yield [text]
        yield ["end"]
"""
Valid = Callable[[Random], tuple[Draft, Any]]
"""Makes a request, and the answer's document, or a part of it that `holds` finds in it."""


def holds(expected: Any, answer: Any) -> bool:
    """Say whether an answer has what is expected, whatever it says beside that."""
    if isinstance(expected, dict):
        return isinstance(answer, dict) and all(
            key in answer and holds(value, answer[key]) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(answer, list)
            and len(expected) == len(answer)
            and all(holds(one, other) for one, other in zip(expected, answer, strict=True))
        )
    return bool(expected == answer)


def post(path: bytes, tree: Any, *headers: tuple[bytes, bytes]) -> Draft:
    return Draft(b"POST", path, [*(headers or [JSON])], tree=tree)


def _rows(random: Random) -> list[tuple[float, int, str]]:
    return [
        (random.randrange(-80, 80) / 8, random.randrange(-99, 99), random.choice(["", "one", "drei", "x" * 40]))
        for _ in range(random.randint(1, 4))
    ]


def _sums(rows: list[tuple[float, int, str]]) -> list[float]:
    return [a + b + len(c) for a, b, c in rows]


def _tensor(name: str, datatype: str, values: Sequence[Any], *tail: int) -> dict[str, Any]:
    shape = [len(values), *tail]
    return {"name": name, "shape": shape, "datatype": datatype, "data": list(values)}


def _columns(rows: list[tuple[float, int, str]]) -> list[dict[str, Any]]:
    a, b, c = (list(column) for column in zip(*rows, strict=True))
    return [_tensor("a", "FP64", a), _tensor("b", "INT64", b), _tensor("c", "BYTES", c)]


def _oip(random: Random) -> tuple[Draft, Any]:
    rows = _rows(random)
    tree = {"id": "7", "inputs": _columns(rows), "outputs": [{"name": "y"}]}
    return post(OIP, tree), {"id": "7", "outputs": [{"name": "y", "shape": [len(rows)], "data": _sums(rows)}]}


def _binary(random: Random) -> tuple[Draft, Any]:
    rows = _rows(random)
    inputs, tail = _columns(rows), b""
    texts = [text.encode() for _, _, text in rows]
    packed = [
        np.array([row[0] for row in rows], "<f8").tobytes(),
        np.array([row[1] for row in rows], "<i8").tobytes(),
        b"".join(len(text).to_bytes(4, "little") + text for text in texts),
    ]
    for tensor, data in zip(inputs, packed, strict=True):
        del tensor["data"]
        tensor["parameters"] = {"binary_data_size": len(data)}
        tail += data
    draft = post(OIP, {"inputs": inputs}, (b"Content-Type", b"application/octet-stream"))
    draft.tail, draft.mixed = tail, True
    return draft, {"outputs": [{"name": "y", "data": _sums(rows)}]}


def _records(random: Random) -> tuple[Draft, Any]:
    rows = _rows(random)
    return post(b"/predict", [{"a": a, "b": b, "c": c} for a, b, c in rows]), {"predictions": _sums(rows)}


def _csv(random: Random) -> tuple[Draft, Any]:
    rows = _rows(random)
    body = "a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows)
    draft = post(b"/predict", None, (b"Content-Type", b"text/csv"))
    draft.body = body.encode()
    return draft, {"predictions": _sums(rows)}


def _lines(random: Random) -> tuple[Draft, Any]:
    rows = _rows(random)
    draft = post(b"/predict", None, (b"Content-Type", b"application/x-ndjson"))
    draft.body = "".join(f'{{"a": {a}, "b": {b}, "c": "{c}"}}\n' for a, b, c in rows).encode()
    return draft, {"predictions": _sums(rows)}


def _instances(random: Random) -> tuple[Draft, Any]:
    rows = _rows(random)
    tree = {"instances": [{"a": a, "b": b, "c": c} for a, b, c in rows]}
    return post(b"/v1/models/iris:predict", tree), {"predictions": _sums(rows)}


def _split(random: Random) -> tuple[Draft, Any]:
    rows = _rows(random)
    tree = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [list(row) for row in rows]}}
    return post(b"/invocations", tree), {"predictions": _sums(rows)}


def _generate(random: Random) -> tuple[Draft, Any]:
    (a, b, c), *_ = _rows(random)
    return post(b"/v2/models/iris/generate", {"a": a, "b": b, "c": c}), {"y": a + b + len(c)}


def _page(random: Random) -> tuple[Draft, Any]:
    path = random.choice([b"/v2", b"/v2/models/iris", b"/v2/health/ready", b"/v1/models/iris", b"/"])
    return Draft(b"GET", path, []), None


def _matrix(random: Random) -> list[list[float]]:
    return [[random.randrange(-80, 80) / 8 for _ in range(3)] for _ in range(random.randint(1, 4))]


def _matrix_oip(random: Random) -> tuple[Draft, Any]:
    rows = _matrix(random)
    data = rows if random.random() < 0.5 else [value for row in rows for value in row]
    tree = {"inputs": [{"name": "x", "shape": [len(rows), 3], "datatype": "FP64", "data": data}]}
    return post(OIP, tree), {"outputs": [{"data": [sum(row) for row in rows]}]}


def _matrix_rows(random: Random) -> tuple[Draft, Any]:
    rows = _matrix(random)
    path, key = random.choice(
        [(b"/predict", ""), (b"/v1/models/iris:predict", "instances"), (b"/invocations", "inputs")]
    )
    return post(path, {key: rows} if key else rows), {"predictions": [sum(row) for row in rows]}


def _npy(random: Random) -> tuple[Draft, Any]:
    rows = _matrix(random)
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array(rows, random.choice(["<f8", "<f4", ">f8"])))
    draft = post(b"/predict", None, (b"Content-Type", b"application/x-npy"))
    draft.body = file.getvalue()
    return draft, {"predictions": [sum(row) for row in rows]}


def _raw(random: Random) -> tuple[Draft, Any]:
    rows = _matrix(random)[:1]
    draft = post(OIP, None, (b"Inference-Header-Content-Length", b"0"))
    draft.body = np.array(rows, "<f8").tobytes()
    return draft, None


def _free(random: Random) -> tuple[Draft, Any]:
    rows = _rows(random)
    inputs = random.sample(_columns(rows), random.randint(1, 3))
    told = [{key: tensor[key] for key in ("name", "shape", "datatype", "data")} for tensor in inputs]
    return post(OIP, {"inputs": inputs}), {"outputs": told}


def _free_matrix(random: Random) -> tuple[Draft, Any]:
    rows = _matrix(random)
    return post(b"/predict", rows), {"predictions": rows}


def _whole(random: Random) -> tuple[Draft, Any]:
    return post(b"/v2/models/iris/generate", {"text": f"{random.random()}", "id": "7"}), {"id": "7"}


def _parts(random: Random) -> tuple[Draft, Any]:
    path = random.choice([b"/v2/models/iris/generate_stream", b"/v2/models/iris/generate"])
    accept = (b"Accept", random.choice([b"text/event-stream", b"application/x-ndjson"]))
    return post(path, {"text": f"{random.random()}"}, JSON, accept), None


def _tensor_parts(random: Random) -> tuple[Draft, Any]:
    tree = {"inputs": [_tensor("text", "BYTES", ["x", "y"][: random.randint(1, 2)])]}
    return post(b"/v2/models/iris/infer_stream", tree, JSON, (b"Accept", b"application/x-ndjson")), None


SUBJECTS: dict[str, tuple[str, list[Valid]]] = {
    "table": (TABLE, [_oip, _binary, _records, _csv, _lines, _instances, _split, _generate, _page]),
    "matrix": (MATRIX, [_matrix_oip, _matrix_rows, _npy, _raw, _page]),
    "free": (FREE, [_free, _free_matrix, _page]),
    "stream": (STREAM, [_whole, _parts, _tensor_parts, _page]),
}
"""The source of a class, and the requests it takes."""
