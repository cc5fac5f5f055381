"""A front with a table, and workers for its revisions: real processes in one folder."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from unit.tiffin_serve.fronts import DEADLINE, SRC, wait_for

MODEL = """
import os
import threading
import time

if os.environ.get("THREAD"):  # then it cannot fork
    threading.Thread(target=threading.Event().wait, daemon=True).start()

class Predictor:
    inputs = {"x": ("INT64", [-1])}

    def load(self, path):
        if os.environ.get("BREAK"):
            raise RuntimeError("the weights are of another version")

    def predict(self, inputs):
        while os.path.exists("busy-" + os.environ["SAYS"]):
            time.sleep(0.01)
        return [int(os.environ["SAYS"])] * len(inputs["x"])
"""


class Answer(NamedTuple):
    """What a front said."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def says(self) -> int:
        """Which revision's worker answered, by its own word."""
        assert self.status == 200, self.body
        return int(self.body["predictions"][0])


class Place:
    """The folder of a service, its front and its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table: dict[str, Any] = {"service": "iris", "salt": "00", "wakes": True, "revisions": {}}
        self.front: subprocess.Popen[bytes] | None = None
        self._running: list[subprocess.Popen[bytes]] = []
        (folder / "own.py").write_text(MODEL)

    # --- the table

    def revision(self, number: int, weight: float = 100.0, state: str = "open", **serve: Any) -> None:
        """Put a revision into the table, with its document."""
        place = self.folder / str(number)
        (place / "hall").mkdir(parents=True, exist_ok=True)
        document = {
            "schema": 1,
            "name": "iris",
            "version": str(number),
            "model": {"format": "python", "predictor": "own:Predictor"},
            "code": str(self.folder),
            "worker": [sys.executable, "-m", "tiffin_serve.worker"],
            "serve": {"drain_seconds": 0, **serve},
        }
        (place / "service.json").write_text(json.dumps(document))
        entry = {"folder": str(number), "token": f"secret {number}", "image": f"sha256:{number}"}
        self.table["revisions"][str(number)] = {**entry, "weight": weight, "state": state}

    def write(self) -> None:
        (self.folder / "table.json.new").write_text(json.dumps(self.table))
        (self.folder / "table.json.new").rename(self.folder / "table.json")

    def tell(self) -> Answer:
        """Have the front read the table again."""
        self.write()
        return self.admin("POST", "/table")

    # --- processes

    def begin(self, port: int = 0, **environment: str) -> Place:
        self.write()
        ports = {"TIFFIN_HOST": "127.0.0.1", "TIFFIN_HTTP_PORT": str(port), "TIFFIN_METRICS_PORT": "0"}
        self.front = self._start(
            ["-m", "tiffin_serve.front", "front", "--table", "table.json"], ports | environment, "front.log"
        )
        return self

    def work(self, number: int, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker of a revision, as a container would."""
        told = {
            "TIFFIN_WORKER_SOCKET": f"{number}/hall/worker.sock",
            "TIFFIN_WORKER_TOKEN": f"secret {number}",
            "TIFFIN_INSTANCE": f"one-{number}",
            "SAYS": str(number),
        }
        arguments = ["-m", "tiffin_serve.front", "worker", "--service", f"{number}/service.json"]
        return self._start(arguments, {**told, **environment}, f"worker{number}.log")

    def _start(self, arguments: list[str], told: dict[str, str], log: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(SRC), **told}
        with (self.folder / log).open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=environment,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def end(self) -> None:
        for process in reversed(self._running):
            kill(process)

    # --- questions

    @property
    def log(self) -> str:
        return (self.folder / "front.log").read_text()

    def _port(self, pattern: str) -> int:
        def found() -> Any:
            assert self.front is not None
            match = re.search(pattern, self.log)
            assert match or self.front.poll() is None, self.log
            return match

        return int(wait_for(found, pattern).group(1))

    @property
    def port(self) -> int:
        return self._port(r"listening on http://[\d.]+:(\d+)")

    @property
    def grpc_port(self) -> int:
        return self._port(r"gRPC on port (\d+)")

    def admin(self, method: str, path: str) -> Answer:
        return asked(self._port(r"metrics at http://[\d.]+:(\d+)"), method, path)

    def ask(self, method: str = "POST", path: str = "/predict", body: Any = (1,), **headers: str) -> Answer:
        return asked(self.port, method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def said(self, number: int) -> dict[str, Any]:
        """Give what is told of a revision."""
        told: dict[str, Any] = self.admin("GET", "/table").body["revisions"][str(number)]
        return told

    def busy_beside(self, weight: float) -> subprocess.Popen[bytes]:
        """Begin with a worker of revision 3 that keeps what it is asked, and one of revision 4; gives the first."""
        self.revision(3)
        self.revision(4, weight=weight)
        self.begin()
        worker = self.work(3)
        self.work(4)
        self.ready(3, 4)
        (self.folder / "busy-3").touch()
        return worker

    def ready(self, *numbers: int) -> Place:
        for number in numbers:
            wait_for(lambda number=number: self.said(number)["ready"], f"revision {number} is ready")  # type: ignore[misc]
        return self

    def connect(self, **headers: str) -> socket.socket:
        """Ask the model on a connection of one's own, and do not wait for the answer."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        client.sendall(f"POST /predict HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 3\r\n\r\n[1]".encode())
        return client


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, as an engine does with a container."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(DEADLINE)


def asked(port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data if method == "POST" else None, headers or {})
        response = connection.getresponse()
        text = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        told = json.loads(text) if found.get("content-type") == "application/json" and text else text
        return Answer(response.status, found, told)
    finally:
        connection.close()


def read_answer(client: socket.socket) -> Answer:
    """Read the answer of a connection that asked."""
    response = http.client.HTTPResponse(client)
    response.begin()
    text = response.read()
    return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, json.loads(text))
