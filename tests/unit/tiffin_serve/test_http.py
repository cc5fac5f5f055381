"""What a real front with a real worker answers to good and to bad requests."""

from __future__ import annotations

import json
import socket
from typing import Any

import pandas as pd
import pytest

from unit.tiffin_serve.fronts import COLUMNS, DEADLINE, ROWS, Server, train

EXTENSIONS = ["binary_tensor_data", "model_repository", "parameters", "statistics"]
INFER = "/v2/models/iris/infer"
GOOD = {"inputs": [{"name": "input", "shape": [3, 4], "datatype": "FP64", "data": ROWS}]}


def body(**change: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]} | change]}


def expected() -> tuple[list[str], list[list[float]]]:
    model, frame = train(), pd.DataFrame(ROWS, columns=COLUMNS)
    return model.predict(frame).tolist(), model.predict_proba(frame).tolist()


def test_the_predictions_are_those_of_the_model(iris: Server) -> None:
    labels, probabilities = expected()
    status, answer = iris.ask("POST", INFER, GOOD | {"id": "seven", "parameters": {"tenant": 7}})
    assert status == 200
    assert answer == {
        "model_name": "iris",
        "model_version": "1",
        "id": "seven",
        "outputs": [
            {"name": "predict", "datatype": "BYTES", "shape": [3], "data": labels},
            {
                "name": "predict_proba",
                "datatype": "FP64",
                "shape": [3, 3],
                "data": [p for row in probabilities for p in row],
            },
        ],
    }


@pytest.mark.parametrize(
    "sent",
    [
        ROWS,
        {"rows": ROWS},
        {"inputs": ROWS},
        [dict(zip(COLUMNS, row, strict=True)) for row in ROWS],
        {"rows": [dict(reversed(list(zip(COLUMNS, row, strict=True)))) for row in ROWS]},
    ],
)
def test_plain_rows_get_plain_predictions(iris: Server, sent: Any) -> None:
    labels, probabilities = expected()
    assert iris.ask("POST", "/predict", sent) == (
        200,
        {"predictions": labels, "probabilities": probabilities, "classes": ["setosa", "versicolor", "virginica"]},
    )


def test_columns_may_be_tensors_of_their_own(iris: Server) -> None:
    flat = [
        {"name": name, "shape": [3], "datatype": "FP32", "data": [row[place] for row in ROWS]}
        for place, name in enumerate(COLUMNS)
    ]
    tall = [column | {"shape": [3, 1], "datatype": "FP64"} for column in reversed(flat)]
    for inputs in (flat, tall):
        status, answer = iris.ask("POST", INFER, {"inputs": inputs, "outputs": [{"name": "predict"}]})
        assert status == 200
        assert [output["name"] for output in answer["outputs"]] == ["predict"]
        assert answer["outputs"][0]["data"] == expected()[0]


def test_the_outputs_come_in_the_order_they_are_asked_for(iris: Server) -> None:
    wanted = [{"name": "predict_proba"}, {"name": "predict"}]
    _, answer = iris.ask("POST", INFER, GOOD | {"outputs": wanted})
    assert [output["name"] for output in answer["outputs"]] == ["predict_proba", "predict"]


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT64", "INT8", "UINT8"])
def test_numbers_of_any_type_that_fits_are_taken(iris: Server, datatype: str) -> None:
    assert iris.ask("POST", INFER, body(datatype=datatype))[0] == 200


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v2", {"name": "tiffin", "version": "0.1.0", "extensions": EXTENSIONS}),
        ("/v2/", {"name": "tiffin", "version": "0.1.0", "extensions": EXTENSIONS}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"live": True, "ready": True}),
        ("/v2/models/iris/ready", {"name": "iris", "ready": True}),
        ("/v2/models/iris/versions/1/ready", {"name": "iris", "ready": True}),
        ("/v2/models/%69ris/ready?a=b", {"name": "iris", "ready": True}),
    ],
)
def test_what_can_be_read(iris: Server, path: str, answer: Any) -> None:
    assert iris.ask("GET", path) == (200, answer)


def test_the_model_describes_itself(iris: Server) -> None:
    for path in ("/v2/models/iris", "/v2/models/iris/versions/1"):
        status, answer = iris.ask("GET", path)
        assert status == 200
        assert answer["platform"] == "sklearn"
        assert answer["versions"] == ["1"]
        assert answer["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}]
        assert [output["name"] for output in answer["outputs"]] == ["predict", "predict_proba"]


def test_the_root_says_where_to_go(iris: Server) -> None:
    status, answer = iris.ask("GET", "/")
    assert (status, answer["name"]) == (200, "iris")
    assert iris.ask("GET", answer["urls"]["model"])[0] == 200


def test_head_has_the_length_and_not_the_body(iris: Server) -> None:
    status, headers, nothing = iris.ask_whole("HEAD", "/v2/health/live")
    assert (status, nothing, headers["content-length"]) == (200, None, "13")


TWICE = {"inputs": [body()["inputs"][0], body()["inputs"][0]]}
DEEP = b"[" * 50_000
MALFORMED: list[tuple[str, str, Any, int, str]] = [
    ("POST", INFER, b"", 400, "request: input data was truncated"),
    ("POST", INFER, b"{", 400, "request: input data was truncated"),
    ("POST", INFER, b"hello", 400, "JSON is malformed"),
    ("POST", INFER, b"\xff\xfe", 400, "JSON is malformed"),
    ("POST", INFER, b'{"inputs": NaN}', 400, "JSON is malformed"),
    ("POST", INFER, b'{"id": "\xff", "inputs": []}', 400, "UTF-8"),
    ("POST", INFER, DEEP, 400, "request"),
    ("POST", INFER, b'{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP64","data":' + DEEP, 400, "request"),
    ("POST", INFER, [], 400, "request: expected `object`, got `array`"),
    ("POST", INFER, {}, 400, "missing required field `inputs`"),
    ("POST", INFER, {"inputs": []}, 400, "request.inputs: expected `array` of length >= 1"),
    ("POST", INFER, {"inputs": [{}]}, 400, "request.inputs[0]: object missing required field `name`"),
    ("POST", INFER, {"inputs": [1]}, 400, "request.inputs[0]: expected `object`, got `int`"),
    ("POST", INFER, GOOD | {"id": 7}, 400, "request.id: expected `str | null`, got `int`"),
    ("POST", INFER, body(name="x"), 400, "unknown input 'x'; the model takes 'input'"),
    ("POST", INFER, TWICE, 400, "input 'input' is given twice"),
    ("POST", INFER, {"inputs": [body(name="sepal length")["inputs"][0]]}, 400, "unknown input 'sepal length'"),
    ("POST", INFER, body(datatype="FP65"), 400, "input 'input': unknown datatype 'FP65'"),
    ("POST", INFER, body(datatype="BYTES"), 400, "input 'input': datatype must be FP64, not BYTES"),
    ("POST", INFER, body(datatype="BOOL"), 400, "input 'input': datatype must be FP64, not BOOL"),
    ("POST", INFER, body(shape=[1, 3]), 400, "input 'input': shape [1, 3] does not fit [-1, 4]"),
    ("POST", INFER, body(shape=[4]), 400, "input 'input': shape [4] does not fit [-1, 4]"),
    ("POST", INFER, body(shape=[]), 400, "input 'input': shape [] does not fit [-1, 4]"),
    ("POST", INFER, body(shape=[1, 2, 2]), 400, "does not fit [-1, 4]"),
    ("POST", INFER, body(shape=[-1, 4]), 400, "request.inputs[0].shape[0]: expected `int` >= 0"),
    ("POST", INFER, body(shape=["1", 4]), 400, "request.inputs[0].shape[0]: expected `int`, got `str`"),
    ("POST", INFER, body(shape=[1] * 99), 400, "request.inputs[0].shape"),
    ("POST", INFER, body(shape=[10**15, 4]), 400, "needs 4000000000000000 values, not 4"),
    ("POST", INFER, body(shape=[10**40, 4]), 400, "request.inputs[0].shape[0]: expected `int` <= "),
    ("POST", INFER, body(shape=[2, 4]), 400, "input 'input': shape [2, 4] needs 8 values, not 4"),
    ("POST", INFER, body(shape=[0, 4], data=[]), 400, "the request has no rows"),
    ("POST", INFER, body(data=[1, 2, 3]), 400, "needs 4 values, not 3"),
    ("POST", INFER, body(data=[[1, 2], [3, 4]]), 400, "do not have the shape [1, 4]"),
    ("POST", INFER, body(data=[[[1, 2, 3, 4]]]), 400, "data is nested 3 deep"),
    ("POST", INFER, body(data=[1, 2, 3, "4"]), 400, "input 'input'[3]: expected `float`, got `str`"),
    ("POST", INFER, body(data=[1, 2, 3, None]), 400, "input 'input'[3]: expected `float`, got `null`"),
    ("POST", INFER, body(data="1234"), 400, "input 'input': expected `array`, got `str`"),
    ("POST", INFER, json.dumps(body(data=[1, 2, 3, float("nan")])).encode(), 400, "JSON is malformed"),
    ("POST", INFER, json.dumps(body(data=[1, 2, 3, float("inf")])).encode(), 400, "JSON is malformed"),
    ("POST", INFER, json.dumps(body()).replace(" 4]", " 4e999]").encode(), 400, "number out of range"),
    ("POST", INFER, body(datatype="INT64", data=[1, 2, 3, 2**60]), 400, "expected `int` <= 9007199254740992"),
    ("POST", INFER, GOOD | {"outputs": [{"name": "y"}]}, 400, "unknown output 'y'"),
    ("POST", "/predict", b"", 400, "send [[...], ...]"),
    ("POST", "/predict", b"7", 400, "there are no rows"),
    ("POST", "/predict", [], 400, "there are no rows"),
    ("POST", "/predict", {"data": ROWS}, 400, "an object must have only `rows`"),
    ("POST", "/predict", DEEP, 400, "nested too deep"),
    ("POST", "/predict", [[1, 2, 3]], 400, "rows[0]: needs 4 values, not 3"),
    ("POST", "/predict", [[1, 2, 3, 4], [1, 2, 3]], 400, "rows: the nested lists do not have the shape [2, 4]"),
    ("POST", "/predict", [[1, 2, 3, "4"]], 400, "rows[0][3]: expected `float | null`, got `str`"),
    ("POST", "/predict", [1, 2, 3, 4], 400, "rows[0]: expected `array`, got `int`"),
    ("POST", "/predict", [[1, 2, 3, None]], 400, "the model refused the input: Input X contains NaN."),
    ("POST", "/predict", [{"sepal length": 1}], 400, "rows[0]: column 'sepal width' is missing"),
    ("POST", "/predict", [dict.fromkeys([*COLUMNS, "x"], 1)], 400, "rows[0]: unknown column 'x'"),
    ("POST", "/predict", [dict.fromkeys(COLUMNS, 1), [1, 2, 3, 4]], 400, "rows[1]: must be an object"),
    ("POST", "/predict", [[1, 2, 3, 4], dict.fromkeys(COLUMNS, 1)], 400, "rows[1]: expected `array`, got `object`"),
    ("POST", "/predict", b"x" * 100_001, 413, "the body is larger than 100000 bytes"),
    ("GET", "/nothing", None, 404, "there is nothing at /nothing"),
    ("GET", "/v2/models/rose", None, 404, "there is no model 'rose'; this server has 'iris'"),
    ("POST", "/v2/models/rose/infer", GOOD, 404, "there is no model 'rose'"),
    ("GET", "/v2/models/iris/versions/2", None, 404, "this server has version '1'"),
    ("GET", "/v2/models/", None, 404, "there is no model ''"),
    ("GET", "/%ff%00", None, 404, "there is nothing at"),
    ("GET", INFER, None, 405, f"{INFER} takes POST"),
    ("PUT", "/predict", ROWS, 405, "/predict takes POST"),
    ("DELETE", "/v2", None, 405, "/v2 takes GET, HEAD"),
]


@pytest.mark.parametrize(("method", "path", "sent", "status", "message"), MALFORMED)
def test_a_bad_request_is_told_what_is_wrong(
    iris: Server, method: str, path: str, sent: Any, status: int, message: str
) -> None:
    found, answer = iris.ask(method, path, sent)
    assert (found, list(answer)) == (status, ["error"])
    assert message in answer["error"]
    assert "Traceback" not in answer["error"]


def test_a_wrong_method_is_told_the_right_ones(iris: Server) -> None:
    assert iris.ask_whole("GET", "/predict")[1]["allow"] == "POST"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Encoding": "br"}, 415),
        ({"Inference-Header-Content-Length": "7"}, 400),
        ({"Expect": "200-ok"}, 417),
        ({"X-Long": "x" * 40_000}, 431),
        ({f"X-{number}": "x" * 400 for number in range(100)}, 431),
    ],
)
def test_headers_that_cannot_be_honoured_are_refused(iris: Server, headers: dict[str, str], status: int) -> None:
    found, answer = iris.ask("POST", INFER, GOOD, headers)
    assert (found, list(answer)) == (status, ["error"])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
        (b"GET /v2 HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n[]", 400),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]", 400),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /v2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 7\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1ffff\r\n" + b"x" * 131071, 413),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET /v2 HTTP/1.1\r\nX-Endless: " + b"x" * 40_000, 431),
    ],
)
def test_bytes_that_are_no_request_are_refused_and_the_connection_is_closed(
    iris: Server, sent: bytes, status: int
) -> None:
    answer = iris.raw(sent)
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in head
    assert list(json.loads(content)) == ["error"]


def request(path: bytes, content: bytes = b"", headers: bytes = b"") -> bytes:
    method = b"POST" if content else b"GET"
    length = b"Content-Length: %d\r\n" % len(content) if content else b""
    return b"%b %b HTTP/1.1\r\nHost: x\r\n%b%b\r\n%b" % (method, path, length, headers, content)


LAST = request(b"/v2", headers=b"Connection: close\r\n")


def answers(data: bytes) -> list[tuple[int, Any]]:
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
        found.append((int(head.split(b" ")[1]), json.loads(data[:length])))
        data = data[length:]
    return found


def test_pipelined_requests_are_answered_in_their_order(iris: Server) -> None:
    rows = json.dumps([ROWS[0]]).encode()
    sent = [request(b"/predict", rows), request(b"/v2/health/live"), request(b"/predict", b"[[]]"), request(b"/none")]
    found = answers(iris.raw(b"".join(sent * 100) + LAST))
    assert [status for status, _ in found] == [*[200, 200, 400, 404] * 100, 200]
    assert found[0][1]["predictions"] == ["setosa"]


def test_a_request_in_single_bytes_is_answered(iris: Server) -> None:
    with socket.create_connection(("127.0.0.1", iris.port), timeout=DEADLINE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for letter in request(b"/predict", json.dumps(ROWS).encode(), b"Connection: close\r\n"):
            connection.send(bytes([letter]))
        found = answers(b"".join(iter(lambda: connection.recv(65536), b"")))
    assert [status for status, _ in found] == [200]


def test_chunked_bodies_are_read_and_their_trailers_ignored(iris: Server) -> None:
    rows = json.dumps(ROWS).encode()
    chunks = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in (rows[:5], rows[5:]))
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    found = answers(iris.raw(head + chunks + b"0\r\nX-Check: 7\r\n\r\n" + LAST))
    assert [status for status, _ in found] == [200, 200]


def test_a_client_that_asks_first_is_told_to_continue(iris: Server) -> None:
    rows = json.dumps(ROWS).encode()
    whole = request(b"/predict", rows, b"Expect: 100-continue\r\nConnection: close\r\n")
    with socket.create_connection(("127.0.0.1", iris.port), timeout=DEADLINE) as connection:
        connection.sendall(whole[: -len(rows)])
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(rows)
        found = answers(b"".join(iter(lambda: connection.recv(65536), b"")))
    assert [status for status, _ in found] == [200]


def test_old_clients_keep_the_connection_only_when_they_say_so(iris: Server) -> None:
    assert b"connection: close" in iris.raw(b"GET /v2 HTTP/1.0\r\n\r\n")
    kept = iris.raw(b"GET /v2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2 + LAST)
    assert kept.count(b"connection: keep-alive") == 2
    assert kept.count(b"200 OK") == 3


def test_an_upgrade_is_declined_by_answering(iris: Server) -> None:
    answer = iris.raw(request(b"/v2", headers=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer


def test_a_head_that_does_not_end_is_given_up_on(iris: Server) -> None:
    assert iris.raw(b"GET /v2 HTTP/1.1\r\nHost: ").startswith(b"HTTP/1.1 408 ")


def test_a_body_that_does_not_come_is_given_up_on(iris: Server) -> None:
    unfinished = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n["
    assert iris.raw(unfinished).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_goes_away_harms_nobody(iris: Server) -> None:
    rows = json.dumps(ROWS).encode()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", iris.port), timeout=DEADLINE) as connection:
            connection.sendall(request(b"/predict", rows) * 10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    assert iris.ask("POST", "/predict", ROWS)[0] == 200
    assert "Traceback" not in iris.log


def test_what_happened_is_counted(iris: Server) -> None:
    iris.ask("POST", "/predict", ROWS)
    before = iris.metrics()
    iris.ask("POST", "/predict", ROWS)
    iris.ask("GET", "/nothing")
    after = iris.metrics()
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    assert grown.pop('tiffin_requests_total{model="iris",version="1",protocol="predict",code="200"}') == 1
    assert grown.pop('tiffin_requests_total{model="iris",version="1",protocol="other",code="404"}') == 1
    assert grown.pop('tiffin_predicted_rows_total{model="iris"}') == 3
    assert grown.pop('tiffin_predict_duration_seconds_count{model="iris"}') == 1
    assert after['tiffin_model_ready{model="iris"}'] == 1
    assert after['tiffin_in_flight_requests{model="iris"}'] == 0
