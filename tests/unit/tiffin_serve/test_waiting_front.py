"""A front whose workers others start: it says who of them is ready, and clients wait outside for the first one."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.tiffin_serve.fronts import DEADLINE, Serve, Server, wait_for

ECHO = """
import os

class Predictor:
    inputs = {"x": ("FP64", [-1])}
    outputs = {"y": ("FP64", [-1])}

    def load(self, path):
        if os.environ.get("BREAK"):
            raise RuntimeError("the weights are of another version")

    def predict(self, inputs):
        return {"y": inputs["x"]}
"""
OWN = {"format": "python", "predictor": "own:Predictor"}


@pytest.fixture
def meeting() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "TIFFIN_WORKER_SOCKET": f"{folder}/hall",
            "TIFFIN_WORKER_TOKEN": "secret",
            "TIFFIN_FRONT_WAITS": "1",
        }


def said(front: Server) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{front.metrics_port}/workers", timeout=DEADLINE) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_clients_wait_outside_for_the_first_worker(
    predictor: Callable[..., Server], serve: Serve, meeting: dict[str, str]
) -> None:
    front = predictor(ECHO, arguments=["front"], environment=meeting)
    with socket.create_connection(("127.0.0.1", front.port), timeout=DEADLINE) as client:
        client.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert said(front)["ready"] == {}
        serve(OWN, arguments=["worker"], environment=meeting | {"TIFFIN_INSTANCE": "one"})
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert said(front)["ready"].keys() == {"one"}
    assert front.ask("POST", "/predict", [1, 2])[0] == 200
    told = said(front)
    assert (told["requests"], told["errors"], told["queued"]) == (1, 0, 0)
    assert told["p99"] > 0


def test_who_may_not_serve_is_named_with_the_reason(
    predictor: Callable[..., Server], serve: Serve, meeting: dict[str, str]
) -> None:
    front = predictor(ECHO, arguments=["front"], environment=meeting)
    broken = serve(OWN, arguments=["worker"], environment=meeting | {"TIFFIN_INSTANCE": "two", "BREAK": "1"})
    assert broken.process.wait(DEADLINE) == 3
    wait_for(lambda: said(front)["failures"], "told")
    assert said(front)["failures"] == {"two": "RuntimeError: the weights are of another version"}


def test_workers_that_others_start_outlive_a_front_that_is_killed(
    predictor: Callable[..., Server], serve: Serve, meeting: dict[str, str]
) -> None:
    front = predictor(ECHO, arguments=["front"], environment=meeting)
    worker = serve(OWN, arguments=["worker"], environment=meeting | {"TIFFIN_INSTANCE": "one"})
    wait_for(lambda: said(front)["ready"], "ready")
    os.kill(front.process.pid, signal.SIGKILL)
    front.process.wait(DEADLINE)
    assert Path(meeting["TIFFIN_WORKER_SOCKET"]).is_socket()
    again = predictor(ECHO, arguments=["front"], environment=meeting)
    wait_for(lambda: said(again)["ready"], "ready again")
    assert worker.process.poll() is None
