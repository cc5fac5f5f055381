"""What a running front says in every protocol of its HTTP port."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tiffin_serve.protocol.datatypes import DATATYPES
from tiffin_serve.protocol.tensors import join_bytes
from unit.tiffin_serve.fronts import COLUMNS, DEADLINE, ROWS, Serve, Server

INFER = "/v2/models/iris/infer"
LABELS = ["setosa", "virginica", "versicolor"]
RAW = np.array(ROWS).tobytes()
OCTETS = "application/octet-stream"
LENGTH = "inference-header-content-length"


def ask(server: Server, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        return response.status, told, response.read()
    finally:
        connection.close()


def mixed(document: dict[str, Any], tensors: bytes) -> tuple[bytes, dict[str, str]]:
    head = json.dumps(document).encode()
    return head + tensors, {"Content-Type": OCTETS, "Inference-Header-Content-Length": str(len(head))}


def cut(headers: dict[str, str], body: bytes) -> tuple[Any, bytes]:
    """Cut an answer into its JSON and its tensors."""
    assert headers["content-type"] == OCTETS
    length = int(headers[LENGTH])
    return json.loads(body[:length]), body[length:]


INPUT = {"name": "input", "shape": [3, 4], "datatype": "FP64", "parameters": {"binary_data_size": len(RAW)}}


def test_binary_in_json_out(iris: Server) -> None:
    status, headers, body = ask(iris, INFER, *mixed({"inputs": [INPUT]}, RAW))
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["outputs"][0]["data"] == LABELS


@pytest.mark.parametrize(
    ("asked", "binary"),
    [
        ({"parameters": {"binary_data_output": True}}, ["predict", "predict_proba"]),
        ({"outputs": [{"name": "predict", "parameters": {"binary_data": True}}]}, ["predict"]),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "predict_proba"}, {"name": "predict", "parameters": {"binary_data": False}}],
            },
            ["predict_proba"],
        ),
    ],
    ids=["all", "one", "all but one"],
)
def test_outputs_come_in_the_form_that_is_asked_for(iris: Server, asked: dict[str, Any], binary: list[str]) -> None:
    tensor = {"name": "input", "shape": [3, 4], "datatype": "FP64", "data": ROWS}
    body = json.dumps({"inputs": [tensor], "id": "x", **asked}).encode()
    status, headers, answer = ask(iris, INFER, body, {})
    document, tensors = cut(headers, answer)
    assert (status, document["id"]) == (200, "x")
    assert [output["name"] for output in document["outputs"] if "data" not in output] == binary
    sizes = [o["parameters"]["binary_data_size"] for o in document["outputs"] if "data" not in o]
    assert sum(sizes) == len(tensors)
    if "predict_proba" in binary:
        scores = np.frombuffer(tensors[len(tensors) - 72 :]).reshape(3, 3)
        np.testing.assert_allclose(scores.sum(1), 1)


def test_a_raw_body_gets_raw_outputs(iris: Server) -> None:
    status, headers, body = ask(iris, INFER, RAW, {"Inference-Header-Content-Length": "0"})
    document, tensors = cut(headers, body)
    assert (status, [output["shape"] for output in document["outputs"]]) == (200, [[3], [3, 3]])
    assert tensors.startswith(b"\6\0\0\0setosa")


def test_the_model_tells_its_columns_and_classes(iris: Server) -> None:
    properties = iris.ask("GET", "/v2/models/iris")[1]["properties"]
    assert json.loads(properties["columns"]) == COLUMNS
    assert json.loads(properties["classes"]) == sorted(LABELS)


def test_statistics_count(iris: Server) -> None:
    def stats() -> dict[str, Any]:
        status, answer = iris.ask("GET", "/v2/models/iris/versions/1/stats")
        assert status == 200
        assert iris.ask("GET", "/v2/models/stats")[1]["model_stats"][0]["name"] == "iris"
        (one,) = answer["model_stats"]
        assert (one["name"], one["version"]) == ("iris", "1")
        return dict(one["inference_stats"])

    before = stats()
    assert iris.ask("POST", "/predict", ROWS)[0] == 200
    after = stats()
    assert after["success"]["count"] == before["success"]["count"] + 1
    for what in ("success", "compute_infer"):
        assert after[what]["ns"] > before[what]["ns"]


CSV = "".join(",".join(map(str, row)) + "\n" for row in ROWS)
HEADED = ",".join(COLUMNS) + "\n" + CSV


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/csv", CSV.encode()),
        ("text/csv; charset=utf-8", HEADED.encode()),
        ("application/x-ndjson", b"\n".join(json.dumps(row).encode() for row in ROWS)),
        ("application/jsonlines", b"\n".join(json.dumps(dict(zip(COLUMNS, r, strict=True))).encode() for r in ROWS)),
        ("application/x-npy", npy(np.array(ROWS))),
        ("Application/X-NPY", npy(np.array(ROWS, "f4"))),
        ("application/x-www-form-urlencoded", json.dumps(ROWS).encode()),
    ],
    ids=["csv", "headed", "lines", "objects", "npy", "floats", "curl"],
)
def test_rows_come_in_any_form(iris: Server, kind: str, body: bytes) -> None:
    status, _, answer = ask(iris, "/predict", body, {"Content-Type": kind})
    assert status == 200, answer
    assert json.loads(answer)["predictions"] == LABELS


def test_predictions_leave_in_any_form(iris: Server) -> None:
    status, headers, body = ask(iris, "/predict", CSV.encode(), {"Content-Type": "text/csv", "Accept": "text/csv"})
    lines = body.decode().splitlines()
    assert (status, headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert lines[0] == "predict,predict_proba_setosa,predict_proba_versicolor,predict_proba_virginica"
    assert [line.split(",")[0] for line in lines[1:]] == LABELS
    _, headers, body = ask(iris, "/predict", json.dumps(ROWS).encode(), {"Accept": "application/x-npy"})
    assert headers["content-type"] == "application/x-npy"
    assert np.load(io.BytesIO(body)).tolist() == LABELS
    _, headers, _ = ask(iris, "/predict", json.dumps(ROWS).encode(), {"Accept": "*/*"})
    assert headers["content-type"] == "application/json"


def test_tensorflow_serving_is_spoken(iris: Server) -> None:
    for path in ("/v1/models/iris", "/v1/models/iris/versions/1"):
        status, answer = iris.ask("GET", path)
        assert status == 200
        (version,) = answer["model_version_status"]
        assert version == {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        assert iris.ask("GET", f"{path}/metadata")[1]["model_spec"]["name"] == "iris"
        status, answer = iris.ask("POST", f"{path}:predict", {"instances": ROWS})
        assert (status, [row["predict"] for row in answer["predictions"]]) == (200, LABELS)
        status, answer = iris.ask("POST", f"{path}:predict", {"inputs": {"input": ROWS}})
        assert (status, answer["outputs"]["predict"]) == (200, LABELS)


def test_mlflow_is_spoken(iris: Server) -> None:
    split = {"dataframe_split": {"columns": COLUMNS, "data": ROWS}}
    assert iris.ask("POST", "/invocations", split) == (200, {"predictions": LABELS})
    _, _, answer = ask(iris, "/invocations", HEADED.encode(), {"Content-Type": "text/csv"})
    assert json.loads(answer) == {"predictions": LABELS}


REFUSED: list[tuple[str, str, str, bytes, int, str]] = [
    ("/predict", "text/csv", "", b"1,2,3\n", 400, "line 1: needs 4 values, not 3"),
    ("/predict", "text/csv", "", b"", 400, "there are no rows"),
    ("/predict", "application/x-ndjson", "", b"[1,2,3,4]\n[", 400, "line 2: input data was truncated"),
    ("/predict", "application/x-npy", "", npy(np.zeros((1, 3))), 400, "shape [1, 3] does not fit [-1, 4]"),
    ("/predict", "application/x-npy", "", b"hello", 400, "npy: does not begin with"),
    ("/invocations", "application/x-parquet", "", b"PAR1", 415, "application/json or text/csv"),
    ("/invocations", "application/json", "", b"[]", 400, "send one of dataframe_split"),
    ("/invocations", "text/csv", "", CSV.encode(), 400, "line 1: unknown column '5.1'"),
    ("/v1/models/iris:predict", "", "", b"{", 400, 'send {"instances": [...]}'),
    ("/v1/models/iris:classify", "", "", b"{}", 501, "send plain values to :predict"),
    ("/v1/models/rose:predict", "", "", b"{}", 404, "there is no model 'rose'"),
    ("/v1/models/iris/versions/2:predict", "", "", b"{}", 404, "this server has version '1'"),
    ("/v2/repository/models/rose/load", "", "", b"{}", 404, "there is no model 'rose'"),
    ("/v2/repository/models/rose/unload", "", "", b"{}", 404, "there is no model 'rose'"),
    ("/v2/repository/index", "", "", b"[", 400, "request"),
    (INFER, OCTETS, "x", RAW, 400, "must be a number of bytes"),
    (INFER, OCTETS, "0", RAW[:-1], 400, "95 bytes are not whole FP64 values"),
    (INFER, OCTETS, "0", RAW[:-8], 400, "11 values do not give the shape [-1, 4]"),
    (INFER, OCTETS, "1000", RAW, 400, "says 1000 bytes, but the body has 96"),
]


@pytest.mark.parametrize("case", REFUSED, ids=[f"{case[0]}-{case[1]}-{case[5]}" for case in REFUSED])
def test_bad_requests_are_told_what_is_wrong(iris: Server, case: tuple[str, str, str, bytes, int, str]) -> None:
    path, kind, length, body, status, message = case
    headers = {"Content-Type": kind, "Inference-Header-Content-Length": length}
    found, told, answer = ask(iris, path, body, {name: value for name, value in headers.items() if value})
    assert (found, told["content-type"]) == (status, "application/json")
    assert list(json.loads(answer)) == ["error"]
    assert message in json.loads(answer)["error"]


def test_a_key_that_is_there_twice_has_its_last_value(iris: Server) -> None:
    tensor = '"name":"x","name":"input","shape":[1,4],"datatype":"FP64","data":[9],"data":[1,2,3,4]'
    assert iris.ask("POST", INFER, f'{{"inputs":[{{{tensor}}}]}}'.encode())[0] == 200


def test_a_model_is_unloaded_and_loaded_again(serve: Serve, tmp_path: Any) -> None:
    (tmp_path / "own.py").write_text("class Predictor:\n    def predict(self, inputs):\n        return {'y': [1]}\n")
    server = serve({"format": "python", "predictor": "own:Predictor"}).ready()
    repository = "/v2/repository/models/iris"
    assert server.ask("POST", f"{repository}/load") == (200, {})  # it is there
    before = server.worker_pid()
    assert server.ask("POST", f"{repository}/unload") == (200, {})
    reason = f"the model 'iris' is unloaded; POST {repository}/load loads it"
    for path in ("/v2/health/ready", "/v2/models/iris/ready", "/v1/models/iris"):
        status, answer = server.ask("GET", path)
        assert (status, answer["ready"], answer["error"]) == (503, False, reason)
    assert server.ask("GET", "/v2/health/live")[0] == 200
    assert server.ask("GET", "/ping") == (503, {"error": reason})
    assert server.ask("POST", "/predict", [[1]]) == (503, {"error": reason})
    index = {"name": "iris", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}
    assert server.ask("POST", "/v2/repository/index") == (200, [index])
    assert server.ask("POST", "/v2/repository/index", {"ready": True}) == (200, [])
    assert server.ask("POST", f"{repository}/load") == (200, {})
    assert server.ask("POST", "/predict", [[1]])[0] == 200
    assert server.worker_pid() != before
    assert server.ask("POST", "/v2/repository/index")[1][0]["state"] == "READY"


def test_a_model_that_cannot_be_loaded_again_is_told_why(serve: Serve, tmp_path: Any) -> None:
    own = tmp_path / "own.py"
    own.write_text("class Predictor:\n    def predict(self, inputs):\n        return {'y': [1]}\n")
    server = serve({"format": "python", "predictor": "own:Predictor"}).ready()
    assert server.ask("POST", "/v2/repository/models/iris/unload")[0] == 200
    own.write_text("raise RuntimeError('out of order')\n")
    status, answer = server.ask("POST", "/v2/repository/models/iris/load")
    assert (status, answer) == (400, {"error": "failed to load 'iris': RuntimeError: out of order"})


EVERYTHING = f"""
TENSORS = {{name: (name, [-1, 3]) for name in {sorted(DATATYPES)!r}}}

class Predictor:
    inputs = {{"in " + name: spec for name, spec in TENSORS.items()}}
    outputs = {{"out " + name: spec for name, spec in TENSORS.items()}}

    def predict(self, inputs):
        return {{"out " + name: inputs["in " + name] for name in TENSORS}}
"""


def test_every_datatype_goes_to_the_model_and_comes_back(predictor: Callable[..., Server]) -> None:
    server = predictor(EVERYTHING).ready()
    values = {
        name: b"\0\1\1" if name == "BOOL" else bytes(range(1, 1 + 3 * DATATYPES[name].size)) for name in DATATYPES
    }
    values["BYTES"] = join_bytes([b"", b"\xff\0", "ü".encode()])
    inputs = [
        {"name": f"in {n}", "datatype": n, "shape": [1, 3], "parameters": {"binary_data_size": len(data)}}
        for n, data in values.items()
    ]
    body, headers = mixed({"inputs": inputs, "parameters": {"binary_data_output": True}}, b"".join(values.values()))
    document, tensors = cut(*ask(server, INFER, body, headers)[1:])
    for output in document["outputs"]:
        size, name = output["parameters"]["binary_data_size"], output["datatype"]
        assert (output["name"], output["shape"]) == (f"out {name}", [1, 3])
        assert tensors[:size] == values[name], name
        tensors = tensors[size:]
    assert len(document["outputs"]) == len(DATATYPES)
    answer = ask(server, INFER, *mixed({"inputs": inputs}, b"".join(values.values())))[2]
    (text,) = [output for output in json.loads(answer)["outputs"] if output["datatype"] == "BYTES"]
    assert (text["data"], text["parameters"]) == (["", "/wA=", "w7w="], {"content_type": "base64"})
