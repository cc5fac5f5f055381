"""The conformance client finds nothing wrong with Tiffin, and the right things wrong with a server that errs."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from unit.tiffin_serve.fronts import SRC, Server

SEVERAL = """
class Predictor:
    inputs = {"count": ("INT32", [-1]), "word": ("BYTES", [-1]), "picture": ("UINT8", [-1, 2, 3])}
    outputs = {"words": ("BYTES", [-1]), "sum": ("INT64", [-1])}

    def predict(self, inputs):
        words = [word * int(n) for word, n in zip(inputs["word"], inputs["count"])]
        return {"words": words, "sum": inputs["picture"].sum((1, 2))}
"""


def check(url: str, *more: str) -> tuple[int, list[dict[str, str]]]:
    argv = [sys.executable, "-m", "tiffin_serve", "--check-oip", url, "--json", *more]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def failures(findings: list[dict[str, str]]) -> dict[str, str]:
    return {finding["check"]: finding["reason"] for finding in findings if finding["result"] == "fail"}


def test_the_server_keeps_to_the_protocol_with_a_matrix(iris: Server) -> None:
    status, findings = check(f"127.0.0.1:{iris.port}")
    assert (status, failures(findings)) == (0, {})
    assert len(findings) >= 60
    assert sum(finding["result"] == "skip" for finding in findings) <= 3


def test_the_server_keeps_to_the_protocol_with_several_inputs(predictor: Callable[..., Server]) -> None:
    server = predictor(SEVERAL).ready()
    status, findings = check(f"http://127.0.0.1:{server.port}/", "--model", "iris")
    assert (status, failures(findings)) == (0, {})
    assert {f["check"] for f in findings if f["result"] == "skip"} == {"a raw body is the one input"}


def test_nobody_there_is_no_verdict() -> None:
    argv = [sys.executable, "-m", "tiffin_serve", "--check-oip", "http://127.0.0.1:9", "--model", "x"]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: http://127.0.0.1:9 cannot be checked:")


def test_the_client_needs_the_standard_library_alone() -> None:
    for file in (SRC / "tiffin_serve" / "conformance").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                assert module.startswith("tiffin_serve.conformance") or module.split(".")[0] in sys.stdlib_module_names


class Wrong(BaseHTTPRequestHandler):
    """A server that is right about little: it forgets ids, gives all outputs, and tells errors in its own form."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        spec = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
        documents = {
            "/v2": {"name": "wrong", "version": "1", "extensions": ["statistics"]},
            "/v2/health/live": {},
            "/v2/health/ready": {},
            "/v2/models/m": {"name": "m", "platform": "none", "inputs": spec, "outputs": [{**spec[0], "name": "y"}]},
            "/v2/models/m/ready": {},
        }
        document = documents.get(self.path)
        self._say(200 if document is not None else 404, document if document is not None else {"detail": "no"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            (tensor,) = json.loads(body)["inputs"]
            data, shape = tensor["data"], tensor["shape"]
        except Exception:  # noqa: BLE001 - it is a bad server
            self._say(500, {"error": "Traceback (most recent call last): ..."})
            return
        outputs = [{"name": name, "datatype": "FP32", "shape": shape, "data": data} for name in ("y", "z")]
        self._say(200, {"model_name": "m", "outputs": outputs})

    def _say(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def wrong() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Wrong) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_that_errs_is_told_where(wrong: str) -> None:
    status, findings = check(wrong, "--model", "m")
    failed = failures(findings)
    assert status == 1
    assert failed["the metadata of a model that is not there is an error"].startswith(
        'the body is not {"error": "..."}'
    )
    assert failed["the outputs are those of the metadata"] == "output 'z' is not in the metadata"
    assert failed["the id comes back"] == "`id` is None"
    assert failed["only the outputs that are asked for come"] == "asked for 'y', got ['y', 'z']"
    assert failed["a body that is no JSON is refused"].startswith("answered 500, not 4xx")
    assert failed["an unknown output is refused"].startswith("answered 200, not 4xx")
    assert failed["the statistics are of the model"].startswith("answered 404")
    right = {finding["check"] for finding in findings if finding["result"] == "pass"}
    assert {"the server is live", "flat data is taken", "the answer is JSON and says so"} <= right
    skipped = {finding["check"]: finding["reason"] for finding in findings if finding["result"] == "skip"}
    assert skipped["a version of the model is ready"] == "the metadata has no versions"
    assert skipped["binary inputs are taken"] == "the server does not say that it has binary_tensor_data"
