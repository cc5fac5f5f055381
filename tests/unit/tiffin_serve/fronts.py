"""Running fronts, and a way to start them."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tiffin_serve.worker.frames import encode

SRC = Path(__file__).parents[3] / "src"
DEADLINE = 30.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition gives something true; fails at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


def hello(token: str, **more: Any) -> bytes:
    """Write what a worker says first, whose model takes whole numbers."""
    tensor = {"name": "x", "datatype": "INT64", "shape": [-1]}
    signature = {"platform": "python_predictor", "inputs": [tensor], "outputs": [], "batches": True}
    return encode({"kind": "hello", "version": 1, "token": token, "signature": signature, **more})


class Server:
    """A running front."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def _port(self, pattern: str) -> int:
        return int(wait_for(lambda: re.search(pattern, self.log) or self._ended(), pattern).group(1))

    def _ended(self) -> None:
        assert self.process.poll() is None, self.log

    @property
    def port(self) -> int:
        return self._port(r"listening on http://[\d.]+:(\d+)")

    @property
    def metrics_port(self) -> int:
        return self._port(r"metrics at http://[\d.]+:(\d+)")

    @property
    def grpc_port(self) -> int:
        return self._port(r"gRPC on port (\d+)")

    def ready(self) -> Server:
        wait_for(lambda: self.ask("GET", "/v2/health/ready")[0] == 200 or self._ended(), "ready")
        return self

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        status, _, answer = self.ask_whole(method, path, body, headers)
        return status, answer

    def ask_whole(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], Any]:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, data, headers or {})
            response = connection.getresponse()
            text = response.read()
            return response.status, dict(response.getheaders()), json.loads(text) if text else None
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are and read until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def metrics(self) -> dict[str, float]:
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=DEADLINE)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
            samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
            return {name: float(value) for name, _, value in samples}
        finally:
            connection.close()

    def children_pids(self) -> list[int]:
        return children_of(self.process.pid)

    def worker_pids(self) -> list[int]:
        """Those that predict: the children of a zygote, or who loads for itself."""
        return [worker for child in self.children_pids() for worker in children_of(child) or [child]]

    def worker_pid(self) -> int:
        return self.worker_pids()[0]

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def end(self) -> None:
        """Stop it now, whatever is in flight: a second signal does not wait."""
        wait_for(lambda: self.process.poll() is not None or self.process.terminate(), "ended")


Serve = Callable[..., Server]


def children_of(pid: int) -> list[int]:
    """List the children of a process whose main thread made them."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start(folder: Path, model: dict[str, str], **more: Any) -> Server:
    """Start a front on ports of its own choice for a model."""
    environment, arguments = more.pop("environment", {}), more.pop("arguments", ["all"])
    launcher = more.pop("launcher", [sys.executable, "-m", "tiffin_serve.front"])
    settings = {"drain_seconds": 0, **more.pop("serve", {})}
    document = {
        "schema": 1,
        "name": "iris",
        "version": "1",
        "model": model,
        "code": str(folder),
        "worker": [sys.executable, "-m", "tiffin_serve.worker"],
        "serve": settings,
        **more,
    }
    number = len(list(folder.glob("service*.json")))
    path, log = folder / f"service{number}.json", folder / f"log{number}"
    path.write_text(json.dumps(document))
    ports = {"TIFFIN_HTTP_PORT": "0", "TIFFIN_GRPC_PORT": "0", "TIFFIN_METRICS_PORT": "0", "PYTHONPATH": str(SRC)}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*launcher, *arguments, "--service", str(path)],
            env={**os.environ, **ports, **environment},
            stdout=stderr,
            stderr=stderr,
        )
    return Server(process, log)


COLUMNS = ["sepal length", "sepal width", "petal length", "petal width"]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 5.0, 2.0], [5.7, 2.8, 4.1, 1.3]]


def train() -> Any:
    """Train a small pipeline on a DataFrame."""
    frame = pd.DataFrame([[v + d for v in row] for row in ROWS for d in (-0.2, 0.0, 0.2)], columns=COLUMNS)
    labels = ["setosa"] * 3 + ["virginica"] * 3 + ["versicolor"] * 3
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, labels)
