"""A front whose workers others start: clients wait outside for the first one."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unit.tiffin_serve.fronts import DEADLINE, Serve, Server, wait_for

ECHO = """
class Predictor:
    inputs = {"x": ("FP64", [-1])}
    outputs = {"y": ("FP64", [-1])}

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


def is_ready(front: Server) -> bool:
    return front.metrics()['tiffin_model_ready{model="iris"}'] == 1


def test_clients_wait_outside_for_the_first_worker(
    predictor: Callable[..., Server], serve: Serve, meeting: dict[str, str]
) -> None:
    front = predictor(ECHO, arguments=["front"], environment=meeting)
    with socket.create_connection(("127.0.0.1", front.port), timeout=DEADLINE) as client:
        client.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert not is_ready(front)
        serve(OWN, arguments=["worker"], environment=meeting | {"TIFFIN_INSTANCE": "one"})
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert is_ready(front)
    assert front.ask("POST", "/predict", [1, 2])[0] == 200


def test_workers_that_others_start_outlive_a_front_that_is_killed(
    predictor: Callable[..., Server], serve: Serve, meeting: dict[str, str]
) -> None:
    front = predictor(ECHO, arguments=["front"], environment=meeting)
    worker = serve(OWN, arguments=["worker"], environment=meeting | {"TIFFIN_INSTANCE": "one"})
    wait_for(lambda: is_ready(front), "ready")
    os.kill(front.process.pid, signal.SIGKILL)
    front.process.wait(DEADLINE)
    assert Path(meeting["TIFFIN_WORKER_SOCKET"]).is_socket()
    again = predictor(ECHO, arguments=["front"], environment=meeting)
    wait_for(lambda: is_ready(again), "ready again")
    assert worker.process.poll() is None
