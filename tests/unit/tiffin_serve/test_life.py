"""Batches, crashes, drain, roles and the layout of an image: with real processes."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import pytest

from unit.tiffin_serve.fronts import DEADLINE, ROWS, SRC, Serve, Server, train, wait_for
from unit.tiffin_serve.test_http import LAST, answers, request
from unit.tiffin_serve.test_loaders import write_onnx

Own = Callable[..., Server]

COUNTS = """
class Predictor:
    inputs = {"x": ("INT64", [-1])}
    outputs = {"y": ("INT64", [-1])}

    def predict(self, inputs):
        x = inputs["x"].tolist()
        if 13 in x:
            raise ValueError("thirteen is refused")
        if 14 in x:
            raise KeyError("fourteen")
        if 15 in x:
            import os
            os._exit(9)
        return [len(x)] * len(x)
"""

SLOW = """
import pathlib, time
class Predictor:
    inputs = {"x": ("INT64", [-1])}
    def predict(self, inputs):
        here = pathlib.Path(__file__).parent
        (here / "began").touch()
        while not (here / "go").exists():
            time.sleep(0.01)
        return inputs["x"]
"""


def ask_together(server: Server, numbers: list[int]) -> list[tuple[int, Any]]:
    """Ask so that the front reads all requests at once."""
    asked = [request(b"/predict", json.dumps([number]).encode()) for number in numbers]
    return answers(server.raw(b"".join([*asked, LAST])))[:-1]


def test_requests_that_come_together_are_predicted_together(predictor: Own) -> None:
    server = predictor(COUNTS).ready()
    assert ask_together(server, list(range(8))) == [(200, {"predictions": [8]})] * 8


def test_a_batch_is_no_larger_than_it_may_be(predictor: Own) -> None:
    server = predictor(COUNTS, serve={"max_batch": 4}).ready()
    assert ask_together(server, list(range(8))) == [(200, {"predictions": [4]})] * 8
    assert server.ask("POST", "/predict", list(range(6)))[1] == {"predictions": [6] * 6}


def test_one_bad_request_of_a_batch_fails_alone(predictor: Own) -> None:
    server = predictor(COUNTS).ready()
    found = ask_together(server, [1, 2, 13, 4, 14, 6, 7])
    assert [status for status, _ in found] == [200, 200, 400, 200, 500, 200, 200]
    assert found[2][1] == {"error": "the model refused the input: thirteen is refused"}
    assert found[4][1] == {"error": "the model failed: KeyError: 'fourteen'"}
    (line,) = wait_for(lambda: [json.loads(line) for line in server.log.splitlines() if line.startswith("{")], "told")
    assert line["message"] == "the model failed"
    assert "KeyError" in line["traceback"]


def test_a_request_that_kills_the_worker_fails_alone_and_the_worker_comes_back(predictor: Own) -> None:
    server = predictor(COUNTS).ready()
    found = ask_together(server, [1, 15])
    assert found == [
        (200, {"predictions": [1]}),
        (500, {"error": "the worker died twice on this request"}),
    ]
    server.ready()
    assert ask_together(server, [1])[0][0] == 200


def test_a_worker_that_is_killed_in_mid_batch_loses_nothing(predictor: Own, tmp_path: Path) -> None:
    server = predictor(SLOW).ready()
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(server.ask("POST", "/predict", [1, 2])))
    asking.start()
    wait_for((tmp_path / "began").exists, "the batch is out")
    os.kill(server.worker_pid(), signal.SIGKILL)
    assert server.ask("GET", "/v2/health/live")[0] == 200  # not ready for the moment that another takes, but alive
    (tmp_path / "go").touch()
    asking.join(DEADLINE)
    assert found == [(200, {"predictions": [1, 2]})]
    wait_for(lambda: "the worker ended and is started again" in server.log, "it is said")


def test_a_client_that_leaves_before_its_batch_is_forgotten(predictor: Own, tmp_path: Path) -> None:
    server = predictor(SLOW).ready()
    first = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
    first.sendall(request(b"/predict", b"[1]"))
    wait_for((tmp_path / "began").exists, "the batch is out")
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as second:
        second.sendall(request(b"/predict", b"[2]"))
        queued = 'tiffin_queue_depth{model="iris"}'
        wait_for(lambda: server.metrics()[queued] == 1, "queued")
    first.close()
    wait_for(lambda: server.metrics()['tiffin_in_flight_requests{model="iris"}'] == 0, "gone")
    (tmp_path / "go").touch()
    wait_for(lambda: server.metrics()[queued] == 0, "dropped")
    assert server.ask("POST", "/predict", [3]) == (200, {"predictions": [3]})
    assert server.metrics()['tiffin_predicted_rows_total{model="iris"}'] == 2


def test_a_stop_finishes_what_is_in_flight_and_tells_everyone(predictor: Own, tmp_path: Path) -> None:
    server = predictor(SLOW, serve={"drain_seconds": 0.5}).ready()
    port, found = server.port, []
    asking = threading.Thread(target=lambda: found.append(server.ask_whole("POST", "/predict", [1])))
    asking.start()
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    idle.request("GET", "/v2")
    assert "connection" not in {name.lower() for name, _ in idle.getresponse().getheaders()}
    wait_for((tmp_path / "began").exists, "the batch is out")
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: server.ask("GET", "/v2/health/ready")[0] == 503, "not ready")
    status, headers, _ = server.ask_whole("GET", "/v2/health/live")
    assert (status, headers["connection"]) == (200, "close")
    wait_for(lambda: refused(port), "the port is closed")
    assert server.process.poll() is None
    (tmp_path / "go").touch()
    asking.join(DEADLINE)
    assert (found[0][0], found[0][2]) == (200, {"predictions": [1]})
    assert server.process.wait(DEADLINE) == 0
    idle.close()


def refused(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) != 0


def test_a_second_signal_ends_it_now(predictor: Own, tmp_path: Path) -> None:
    server = predictor(SLOW).ready()
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as connection:
        connection.sendall(request(b"/predict", b"[1]"))
        wait_for((tmp_path / "began").exists, "the batch is out")
        worker = server.worker_pid()
        server.process.send_signal(signal.SIGINT)
        wait_for(lambda: server.process.poll() is not None or server.process.send_signal(signal.SIGINT), "ended")
    assert server.process.returncode == 143
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), "the worker is gone")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("class Other: pass", "AttributeError: module 'own' has no attribute 'Predictor'"),
        ("class Predictor:\n def load(self, path): raise OSError('no\\nfile')", "OSError: no"),
        ("import os\nos._exit(7)", "the worker ended with status 7"),
        ("import os\nos.kill(os.getpid(), 9)", "the worker ended with signal 9"),
    ],
)
def test_a_model_that_does_not_load_is_the_end(predictor: Own, source: str, sentence: str) -> None:
    server = predictor(source)
    assert server.process.wait(DEADLINE) == 3
    assert server.log.splitlines()[-1] == f"tiffin: the model failed to load: {sentence}"
    assert ("Traceback" in server.log) is ("_exit" not in source and "kill" not in source)


def test_a_model_that_takes_too_long_to_load_is_the_end(predictor: Own) -> None:
    server = predictor("import time\ntime.sleep(60)", serve={"load_seconds": 0.3})
    assert server.process.wait(DEADLINE) == 3
    assert "it took longer than 0.3 seconds" in server.log


def test_while_the_model_loads_the_server_lives_and_is_not_ready(predictor: Own) -> None:
    server = predictor("import time\ntime.sleep(60)")
    assert server.ask("GET", "/v2/health/live")[0] == 200
    for path in ("/v2/health/ready", "/v2/models/iris", "/v2/models/iris/ready"):
        status, headers, answer = server.ask_whole("GET", path)
        assert (status, headers["retry-after"], "error" in answer) == (503, "1", True)
    assert server.ask("POST", "/predict", [1])[0] == 503
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("more", "status", "sentence"),
    [
        (
            {"worker": ["/nothing/there"]},
            3,
            "tiffin: the worker cannot be started: [Errno 2] No such file or directory",
        ),
        ({"nmae": "x", "worker": ["/bin/sleep", "60"]}, 2, "Object contains unknown field `nmae`"),
        ({"arguments": ["front"]}, 2, "need TIFFIN_WORKER_SOCKET"),
        ({"arguments": ["front"], "environment": {"TIFFIN_WORKER_SOCKET": "/tmp/x"}}, 2, "needs TIFFIN_WORKER_TOKEN"),
        ({"arguments": ["back"]}, 2, "invalid choice: 'back'"),
        ({"environment": {"TIFFIN_DRAIN_SECONDS": "soon"}}, 2, "could not convert string to float: 'soon'"),
        ({"environment": {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "http"}}, 2, "LISTEN_FDNAMES has 1 names"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_one_sentence(
    serve: Serve, more: dict[str, Any], status: int, sentence: str
) -> None:
    server = serve({"format": "python", "predictor": "own:Predictor"}, **more)
    assert server.process.wait(DEADLINE) == status
    assert sentence in server.log
    assert "Traceback" not in server.log


def test_a_taken_port_is_named(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = serve({"format": "python"}, environment={"TIFFIN_HTTP_PORT": str(port)})
        assert server.process.wait(DEADLINE) == 2
    assert f"tiffin: cannot listen on 0.0.0.0:{port}: Address already in use" in server.log


def test_a_front_serves_workers_that_others_start(predictor: Own, serve: Serve, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        meeting = {"TIFFIN_WORKER_SOCKET": f"{folder}/hall", "TIFFIN_WORKER_TOKEN": "secret"}
        front = predictor(COUNTS, arguments=["front"], environment=meeting)
        assert front.ask("GET", "/v2/health/ready")[0] == 503
        own = {"format": "python", "predictor": "own:Predictor"}
        stranger = serve(own, arguments=["worker"], environment=meeting | {"TIFFIN_WORKER_TOKEN": "guess"})
        assert stranger.process.wait(DEADLINE) == 1
        assert "the front refused this worker: the token is wrong" in stranger.log
        assert front.ask("GET", "/v2/health/ready")[0] == 503
        workers = [serve(own, arguments=["worker"], environment=meeting) for _ in range(2)]
        idle = 'tiffin_workers{model="iris",state="idle"}'
        wait_for(lambda: front.metrics()[idle] == len(workers), "both are in")
        assert front.ask("POST", "/predict", [1, 2]) == (200, {"predictions": [2, 2]})
        for worker in workers:
            assert worker.stop() == 0
        wait_for(lambda: front.ask("GET", "/v2/health/ready")[0] == 503, "no workers")
        (tmp_path / "own.py").write_text("raise OSError('gone')")
        broken = serve(own, arguments=["worker"], environment=meeting)
        assert broken.process.wait(DEADLINE) == 3
        wait_for(lambda: "OSError: gone" in front.log, "told")
        assert front.process.poll() is None
        assert front.stop() == 0


def test_what_is_no_worker_is_hung_up_on(predictor: Own) -> None:
    with tempfile.TemporaryDirectory() as folder:
        meeting = {"TIFFIN_WORKER_SOCKET": f"{folder}/hall", "TIFFIN_WORKER_TOKEN": "secret"}
        front = predictor(COUNTS, arguments=["front"], environment=meeting)
        assert front.ask("GET", "/v2")[0] == 200
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(DEADLINE)
            stranger.connect(meeting["TIFFIN_WORKER_SOCKET"])
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert stranger.recv(100) == b""
        wait_for(lambda: "a worker does not keep to the protocol" in front.log, "it is said")


def lay_out(image: Path) -> None:
    """Copy what the builder copies, as docs/reference/image.md has it."""
    front, worker = image / "front", image / "worker"
    for part in ("protocol", "front"):
        shutil.copytree(SRC / "tiffin_serve" / part, front / "tiffin_serve" / part)
    shutil.copytree(SRC / "tiffin_serve" / "worker", worker / "tiffin_serve" / "worker")
    for place, name in ((front, "front"), (worker, "worker")):
        shutil.copy(SRC / "tiffin_serve" / "__init__.py", place / "tiffin_serve")
        shutil.copy(SRC / "tiffin_serve" / name / "boot.py", place / "__main__.py")
    for package in ("httptools", "uvloop", "msgspec"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        shutil.copytree(Path(spec.origin).parent, front / package)


def test_the_layout_of_an_image_serves_on_sockets_that_are_handed_in(tmp_path: Path) -> None:
    image = tmp_path / "opt"
    lay_out(image)
    joblib.dump(train(), tmp_path / "model.joblib")
    document = {
        "name": "iris",
        "model": {"format": "sklearn-joblib", "path": str(tmp_path / "model.joblib")},
        "worker": [sys.executable, str(image / "worker")],
        "serve": {"drain_seconds": 0},
    }
    (tmp_path / "service.json").write_text(json.dumps(document))
    names = ["http", "grpc", "metrics"]
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    descriptors = " ".join(f"{3 + place}<&{bound.fileno()}" for place, bound in enumerate(sockets))
    command = [sys.executable, "-I", "-S", str(image / "front"), "all", "--service", str(tmp_path / "service.json")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$@" {descriptors}', "bash", *command],
            env={"PATH": os.environ["PATH"], "LISTEN_FDS": "3", "LISTEN_FDNAMES": ":".join(names), "LISTEN_PID": "1"},
            pass_fds=[bound.fileno() for bound in sockets],
            stderr=log,
            cwd="/",
        )
    ports = [bound.getsockname()[1] for bound in sockets]
    for bound in sockets:
        bound.close()
    server = Server(process, tmp_path / "log").ready()
    assert (server.port, server.metrics_port) == (ports[0], ports[2])
    assert server.ask("POST", "/predict", ROWS)[1]["predictions"] == ["setosa", "virginica", "versicolor"]
    left_open = Path(f"/proc/{server.worker_pid()}/fd").iterdir()
    assert len(list(left_open)) == 4  # the standard three and the front
    assert server.stop() == 0


LEAVES_AN_ORPHAN = """
import pathlib, subprocess, sys
code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'input()'], stdin=sys.stdin).pid)"
parent = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, check=True)
(pathlib.Path(__file__).parent / "orphan").write_bytes(parent.stdout)
class Predictor:
    def predict(self, inputs):
        return inputs["input"]
"""

AS_SUBREAPER = """
import ctypes, runpy, sys
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
runpy.run_module("tiffin_serve.front", run_name="__main__", alter_sys=True)
"""


def test_orphans_that_it_inherits_are_reaped(predictor: Own, tmp_path: Path) -> None:
    server = predictor(LEAVES_AN_ORPHAN, launcher=[sys.executable, "-c", AS_SUBREAPER]).ready()
    orphan = int((tmp_path / "orphan").read_text())
    wait_for(lambda: not Path(f"/proc/{orphan}").exists(), "the orphan is reaped")
    assert server.ask("POST", "/predict", [[1.5]]) == (200, {"predictions": [1.5]})
    assert server.stop() == 0


def test_an_onnx_model_is_served(serve: Serve, tmp_path: Path) -> None:
    server = serve({"format": "onnx", "path": str(write_onnx(tmp_path / "model.onnx", "n"))}).ready()
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4.5]]}
    status, answer = server.ask("POST", "/v2/models/iris/infer", {"inputs": [tensor]})
    assert (status, answer["outputs"]) == (
        200,
        [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [2, 3, 4, 5.5]}],
    )
    wide = {"inputs": [tensor | {"datatype": "FP64"}]}
    assert server.ask("POST", "/v2/models/iris/infer", wide) == (
        400,
        {"error": "input 'x': datatype must be FP32, not FP64"},
    )
    assert server.ask("POST", "/predict", [[1, 2]]) == (200, {"predictions": [[2, 3]]})
    assert server.ask("POST", "/predict", [{"x": [1, 2]}]) == (200, {"predictions": [[2, 3]]})


TEXT = """
class Predictor:
    inputs = {"text": ("BYTES", [-1]), "times": ("INT64", [-1, 1])}
    outputs = {"long": ("BYTES", [-1]), "length": ("INT64", [-1])}

    def load(self, path):
        print("loading", path, flush=True)

    def predict(self, inputs):
        long = [text * int(times) for text, times in zip(inputs["text"], inputs["times"].ravel())]
        return {"long": long, "length": [len(text) for text in long]}
"""


def test_an_own_class_is_served_with_texts(predictor: Own) -> None:
    server = predictor(TEXT).ready()
    assert "loading" in server.log
    rows = [{"text": "aü", "times": 2}, {"text": "b", "times": 3}]
    expected = {"predictions": ["aüaü", "bbb"], "outputs": {"length": [4, 3]}}
    assert server.ask("POST", "/predict", rows) == (200, expected)
    assert server.ask("POST", "/predict", [["aü", 2], ["b", 3]]) == (200, expected)
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["b"]}
    times = {"name": "times", "shape": [1], "datatype": "INT32", "data": [2]}
    status, answer = server.ask("POST", "/v2/models/iris/infer", {"inputs": [times, text]})
    assert (status, [output["data"] for output in answer["outputs"]]) == (200, [["bb"], [2]])
    number = {"inputs": [times, text | {"data": [1]}]}
    assert server.ask("POST", "/v2/models/iris/infer", number) == (
        400,
        {"error": "input 'text'[0]: expected `str`, got `int`"},
    )
    assert server.ask("POST", "/v2/models/iris/infer", {"inputs": [text]}) == (
        400,
        {"error": "input 'times' is missing; the model takes 'text', 'times'"},
    )


def test_a_target_with_scheme_and_host_is_its_path(iris: Server) -> None:
    assert iris.raw(b"GET http://x/v2?a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
