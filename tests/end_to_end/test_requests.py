"""Bad requests to a running container, each beside a twin that is answered: the refusal names place and reason."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from end_to_end.small import Downloads, tiffin

LIMIT = 2000
PREDICTOR = """\
class Pairs:
    inputs = {"pair": ("FP32", [-1, 2]), "label": ("BYTES", [-1])}
    outputs = {"text": ("BYTES", [-1])}

    def predict(self, inputs):
        return {"text": [f"{label}:{a + b:g}" for (a, b), label in zip(inputs["pair"], inputs["label"])]}
"""
PROJECT = f"""\
name = "pairs"
[model]
predictor = "predict:Pairs"
[python]
dependencies = ["six==1.17.0"]
[image]
bytecode = false
[serve]
drain-seconds = 0
max-body-bytes = {LIMIT}
"""


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


PAIR, LABEL = tensor("pair", "FP32", [1, 2], [1, 2]), tensor("label", "BYTES", [1], ["a"])
ANSWERED = {
    "flat data": {"inputs": [PAIR, LABEL]},
    "nested data": {"inputs": [{**PAIR, "data": [[1.0, 2.0]]}, LABEL]},
    "whole numbers of another type": {"inputs": [{**PAIR, "datatype": "INT64"}, LABEL]},
    "the other order": {"inputs": [LABEL, PAIR]},
    "an output by name": {"inputs": [PAIR, LABEL], "outputs": [{"name": "text"}]},
    "an id": {"id": "1", "inputs": [PAIR, LABEL]},
}
REFUSED: dict[str, tuple[Any, int, str]] = {
    "not JSON": (b"pair=1", 400, "JSON is malformed"),
    "half of it": (b'{"inputs": [', 400, "truncated"),
    "nothing": (b"", 400, "input data was truncated"),
    "a list": ([PAIR, LABEL], 400, "expected `object`"),
    "no inputs": ({"inputs": []}, 400, "inputs"),
    "an input missing": ({"inputs": [PAIR]}, 400, "label"),
    "an unknown input": ({"inputs": [PAIR, LABEL, {**LABEL, "name": "labels"}]}, 400, "labels"),
    "an input twice": ({"inputs": [PAIR, LABEL, LABEL]}, 400, "label"),
    "an unknown output": ({"inputs": [PAIR, LABEL], "outputs": [{"name": "txt"}]}, 400, "txt"),
    "an unknown datatype": ({"inputs": [{**PAIR, "datatype": "FLOAT"}, LABEL]}, 400, "FLOAT"),
    "text for numbers": ({"inputs": [{**PAIR, "datatype": "BYTES", "data": ["1", "2"]}, LABEL]}, 400, "pair"),
    "another width": ({"inputs": [{**PAIR, "shape": [1, 3], "data": [1, 2, 3]}, LABEL]}, 400, "pair"),
    "another rank": ({"inputs": [{**PAIR, "shape": [2]}, LABEL]}, 400, "pair"),
    "too few values": ({"inputs": [{**PAIR, "data": [1]}, LABEL]}, 400, "pair"),
    "a ragged list": ({"inputs": [{**PAIR, "shape": [2, 2], "data": [[1, 2], [3]]}, LABEL]}, 400, "pair"),
    "a negative shape": ({"inputs": [{**PAIR, "shape": [-1, 2]}, LABEL]}, 400, "shape"),
    "too large": ({"inputs": [PAIR, {**LABEL, "data": ["a" * LIMIT]}]}, 413, f"larger than {LIMIT} bytes"),
}


@pytest.fixture(scope="module")
def port(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A container of the project; its HTTP port."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "predict.py").write_text(PREDICTOR)
    (folder / "tiffin.toml").write_text(PROJECT)
    home = downloads.copy(folder / "home")
    shutil.copy(downloads.lock, folder)
    url = tiffin(home, "run", folder, "-d", "--name", "pairs", "-p", "0")
    try:
        yield urlsplit(url).port or 0
    finally:
        tiffin(home, "rm", "-f", "pairs")


def ask(port: int, body: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", "/v2/models/pairs/infer", data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("what", ANSWERED)
def test_a_valid_request_is_answered(port: int, what: str) -> None:
    status, answer = ask(port, ANSWERED[what])
    assert (status, answer["outputs"]) == (200, [tensor("text", "BYTES", [1], ["a:3"])])


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_request_is_refused_with_its_reason_and_the_next_one_answered(port: int, what: str) -> None:
    body, expected, words = REFUSED[what]
    status, answer = ask(port, body)
    assert status == expected, answer
    assert set(answer) == {"error"}
    assert words in answer["error"]
    assert ask(port, ANSWERED["flat data"])[0] == 200
