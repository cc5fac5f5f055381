"""Workers that fork, hang, crash, run out of memory and come back: with real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, cast

import pytest

from tiffin_serve.front.workers.backoff import LAST_SECONDS, Backoff, delay_after
from tiffin_serve.front.workers.lines import WorkerLine
from tiffin_serve.front.workers.nest import Nest
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.worker.frames import FrameReader, encode
from unit.tiffin_serve.fronts import DEADLINE, SRC, Serve, Server, children_of, hello, wait_for

Own = Callable[..., Server]


def working(server: Server) -> float:
    """Count the workers that are in, whatever they do."""
    found = server.metrics()
    return sum(found[f'tiffin_workers{{model="iris",state="{state}"}}'] for state in ("busy", "idle"))


ECHO = """
class Predictor:
    inputs = {"x": ("INT64", [-1])}
    def predict(self, inputs):
        import os
        return [os.getpid()] * len(inputs["x"])
"""

LOADS = "import pathlib\nwith (pathlib.Path(__file__).parent / 'loads').open('a') as file:\n    file.write('x')\n"

STARTS_A_THREAD = (
    """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
    + ECHO
)

HANGS_WHEN_FORKED = """
import os, time
loaded = os.getpid()
class Predictor:
    inputs = {"x": ("INT64", [-1])}
    def predict(self, inputs):
        while os.getpid() != loaded:
            time.sleep(60)
        return inputs["x"]
"""


def pids(server: Server) -> set[int]:
    return {server.ask("POST", "/predict", [1])[1]["predictions"][0] for _ in range(20)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def lines(server: Server, message: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line for line in found if line["message"] == message]


def test_delays_grow_and_stay_bounded() -> None:
    assert [delay_after(failures) for failures in range(5)] == [0, 0, 0.1, 0.2, 0.4]
    assert delay_after(10_000) == LAST_SECONDS


def test_only_a_worker_that_worked_for_a_while_makes_up_for_failures() -> None:
    backoff, now = Backoff(), 1000.0
    backoff.ready(now)
    delays = []
    for _ in range(12):
        now += 100  # long after the last one was ready, and none was since
        backoff.failed(now)
        delays.append(backoff.delay(now))
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (0, LAST_SECONDS)
    backoff.ready(now + 20)
    backoff.failed(now + 21)
    assert backoff.delay(now + 21) == LAST_SECONDS
    backoff.ready(now + 40)
    backoff.failed(now + 60)
    assert backoff.delay(now + 60) == 0


def test_a_zygote_that_comes_is_not_delayed_by_children_that_others_have_lost() -> None:
    line, signature = cast("WorkerLine", None), cast("Signature", None)
    first, other = Nest(line, signature), Nest(line, signature)
    for now in range(3):
        first.backoff.failed(float(now))
    assert first.backoff.delay(2.0) > 0
    assert other.backoff.delay(2.0) == 0


def test_workers_that_are_lost_together_are_one_failure() -> None:
    backoff = Backoff()
    for _ in range(2):
        backoff.failed(1.0)
    assert backoff.delay(1.0) == pytest.approx(0.1)
    for _ in range(20):
        backoff.failed(1.05)
    assert backoff.delay(1.05) == pytest.approx(0.05)


def test_as_many_workers_as_were_asked_for_share_one_load(predictor: Own, tmp_path: Path) -> None:
    server = predictor(LOADS + ECHO, serve={"workers": 3}).ready()
    wait_for(lambda: working(server) == 3, "three are in")
    (zygote,) = server.children_pids()
    assert len(server.worker_pids()) == 3
    assert pids(server) <= set(children_of(zygote))
    assert (tmp_path / "loads").read_text() == "x"


def test_a_forked_worker_that_dies_is_replaced_without_loading_again(predictor: Own) -> None:
    server = predictor(ECHO).ready()
    zygote, worker = server.children_pids()[0], server.worker_pid()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: children_of(zygote) not in ([], [worker]), "another is there")
    assert pids(server.ready()) == set(children_of(zygote))
    (line,) = wait_for(lambda: lines(server, "the worker ended and is started again"), "told")
    assert (line["how"], line["pid"]) == ("signal 9", worker)


def test_a_zygote_that_dies_leaves_its_workers_working_until_another_has_loaded(predictor: Own) -> None:
    server = predictor(ECHO, serve={"workers": 2}).ready()
    wait_for(lambda: working(server) == 2, "both are in")
    (zygote,), workers = server.children_pids(), set(server.worker_pids())
    os.kill(zygote, signal.SIGKILL)
    assert pids(server) <= workers
    again = wait_for(lambda: [pid for pid in server.children_pids() if pid != zygote], "another zygote")
    os.kill(workers.pop(), signal.SIGKILL)
    wait_for(lambda: len(children_of(again[0])) == 1, "its first child")
    wait_for(lambda: working(server) == 2, "both are in again")
    assert server.stop() == 0
    wait_for(lambda: not any(map(alive, workers)), "the orphan is gone too")


def test_an_orphan_that_dies_once_another_zygote_is_there_is_replaced_by_that(predictor: Own, tmp_path: Path) -> None:
    server = predictor(LOADS + ECHO, serve={"workers": 2}).ready()
    wait_for(lambda: working(server) == 2, "both are in")
    (zygote,), workers = server.children_pids(), server.worker_pids()
    os.kill(zygote, signal.SIGKILL)
    wait_for(lambda: (tmp_path / "loads").read_text() == "xx", "another has loaded")
    time.sleep(0.5)  # it says hello, and none of its children is needed
    (again,) = server.children_pids()
    os.kill(workers[0], signal.SIGKILL)
    wait_for(lambda: len(children_of(again)) == 1, "its first child")
    wait_for(lambda: working(server) == 2, "both are in again")


def test_a_model_with_threads_is_never_forked(predictor: Own) -> None:
    server = predictor(STARTS_A_THREAD, serve={"workers": 2}).ready()
    wait_for(lambda: working(server) == 2, "both are in")
    found = server.children_pids()
    assert [children_of(pid) for pid in found] == [[], []]
    os.kill(found[0], signal.SIGKILL)
    wait_for(lambda: len(server.children_pids()) == 2 and found[0] not in server.children_pids(), "another")
    wait_for(lambda: working(server) == 2, "both are in again")


def test_a_model_that_does_not_survive_a_fork_is_loaded_by_each_worker(predictor: Own, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("[7]")
    checks = [{"request": str(tmp_path / "request.json")}]
    server = predictor(HANGS_WHEN_FORKED, checks=checks, serve={"workers": 2, "deadline_ms": 2000}).ready()
    assert server.ask("POST", "/predict", [5]) == (200, {"predictions": [5]})
    wait_for(lambda: "the model does not survive a fork" in server.log, "told")
    wait_for(lambda: len(server.children_pids()) == 2, "two that load")
    wait_for(lambda: working(server) == 2, "both are in")
    assert [children_of(pid) for pid in server.children_pids()] == [[], []]


def test_a_worker_that_dies_at_every_start_is_not_started_ever_faster(predictor: Own, tmp_path: Path) -> None:
    starts = "import pathlib\nhere = pathlib.Path(__file__).parent\nwith (here / 'starts').open('a') as file:\n"
    starts += "    file.write('x')\nif (here / 'broken').exists():\n    import os\n    os._exit(7)\n"
    server = predictor(starts + ECHO).ready()
    (tmp_path / "broken").touch()
    (zygote,), worker = server.children_pids(), server.worker_pid()
    os.kill(zygote, signal.SIGKILL)  # first, so that it forks no other
    os.kill(worker, signal.SIGKILL)
    told = "the worker ended and is started again"
    wait_for(lambda: any(line.get("delay_seconds", 0) > 0.3 for line in lines(server, told)), "a longer delay")
    wait_for(lambda: server.ask("GET", "/v2/health/ready")[0] == 503, "not ready in between")
    assert server.ask("GET", "/v2/health/live")[0] == 200
    (tmp_path / "broken").unlink()
    server.ready()
    assert server.ask("POST", "/predict", [5])[0] == 200


def test_a_front_that_is_killed_takes_its_workers_along(predictor: Own) -> None:
    server = predictor(ECHO, serve={"workers": 2}).ready()
    wait_for(lambda: working(server) == 2, "both are in")
    family = [*server.children_pids(), *server.worker_pids()]
    server.process.kill()
    server.process.wait(DEADLINE)
    wait_for(lambda: not any(map(alive, family)), "all are gone")


def test_a_front_that_is_killed_while_its_worker_loads_leaves_nobody(predictor: Own, tmp_path: Path) -> None:
    waits = "import pathlib, time\nhere = pathlib.Path(__file__).parent\n(here / 'began').touch()\n"
    waits += "while not (here / 'go').exists():\n    time.sleep(0.01)\n"
    server = predictor(waits + ECHO)
    wait_for((tmp_path / "began").exists, "loading")
    (worker,) = server.children_pids()
    server.process.kill()
    server.process.wait(DEADLINE)
    (tmp_path / "go").touch()
    wait_for(lambda: not alive(worker), "gone")


def test_memory_that_a_model_cannot_have_fails_its_request_alone(predictor: Own) -> None:
    server = predictor(
        "class Predictor:\n    inputs = {'x': ('INT64', [-1])}\n    def predict(self, inputs):\n"
        "        if 13 in inputs['x']:\n            bytearray(1 << 60)\n        return inputs['x']\n"
    ).ready()
    worker = server.worker_pid()
    assert server.ask("POST", "/predict", [13]) == (500, {"error": "the model failed: MemoryError"})
    assert server.ask("POST", "/predict", [1]) == (200, {"predictions": [1]})
    assert server.worker_pid() == worker


@pytest.mark.parametrize("hang", ["import time; time.sleep(60)", "sum(range(10 ** 12))"], ids=["asleep", "in C code"])
def test_a_worker_whose_batch_takes_too_long_ends_by_itself_and_says_where(tmp_path: Path, hang: str) -> None:
    """What kills it where the front cannot; the hang in C holds the interpreter's lock."""
    (tmp_path / "own.py").write_text(f"class Predictor:\n    def predict(self, inputs):\n        {hang}\n")
    document = {"model": {"format": "python", "predictor": "own:Predictor"}, "code": str(tmp_path)}
    (tmp_path / "service.json").write_text(json.dumps(document))
    with Hall(tmp_path) as hall:
        _, reader, connection = hall.meet()
        tensor = {"name": "x", "datatype": "INT64", "shape": [1], "size": 8}
        connection.sendall(encode({"kind": "batch", "id": 1, "inputs": [tensor], "seconds": 0.01}, [bytes(8)]))
        assert reader.read() is None
        assert hall.process.wait(DEADLINE) == -signal.SIGALRM
        told = hall.log.read_text()
    assert 'own.py", line 3 in predict' in told


def echo(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(ECHO)
    document = {"model": {"format": "python", "predictor": "own:Predictor"}, "code": str(tmp_path)}
    (tmp_path / "service.json").write_text(json.dumps(document))


def test_a_worker_of_a_front_that_went_away_comes_to_the_next(tmp_path: Path) -> None:
    echo(tmp_path)
    with Hall(tmp_path, TIFFIN_WORKER_STAYS="1") as hall:
        first, _, _ = hall.meet()
        hall.close()
        hall.open.clear()
        hall.listen()
        second, _, _ = hall.meet()
        assert first["pid"] == second["pid"]
        assert first["forks"] != second["forks"]


def test_a_worker_of_a_front_that_started_it_ends_with_it(tmp_path: Path) -> None:
    echo(tmp_path)
    with Hall(tmp_path) as hall:
        hall.meet()[2].shutdown(socket.SHUT_RDWR)
        assert hall.process.wait(DEADLINE) == 0


def test_children_of_a_zygote_say_where_they_come_from_and_how_they_ended(tmp_path: Path) -> None:
    echo(tmp_path)
    with Hall(tmp_path) as hall:
        zygote, news, control = hall.meet()
        control.sendall(encode({"kind": "of a later version", "more": 1}))
        control.sendall(encode({"kind": "fork", "count": 1}))
        child, _, _ = hall.meet()
        assert (child["nest"], child["pid"] != zygote["pid"]) == (zygote["forks"], True)
        assert "forks" not in child
        os.kill(child["pid"], signal.SIGKILL)
        frame = news.read()
        assert frame is not None
        assert frame[0] == {"kind": "ended", "pid": child["pid"], "status": -signal.SIGKILL}


def test_a_zygote_that_is_told_to_stop_has_no_more_children(tmp_path: Path) -> None:
    echo(tmp_path)
    with Hall(tmp_path) as hall:
        zygote, _, control = hall.meet()
        os.kill(zygote["pid"], signal.SIGSTOP)
        control.sendall(encode({"kind": "fork", "count": 1}))
        os.kill(zygote["pid"], signal.SIGTERM)
        os.kill(zygote["pid"], signal.SIGCONT)
        assert hall.process.wait(DEADLINE) == 0, "a child that was asked for before, and heard of after, is not had"


def test_a_zygote_that_is_given_a_batch_works_itself_and_ends_its_children(tmp_path: Path) -> None:
    echo(tmp_path)
    with Hall(tmp_path) as hall:
        zygote, reader, control = hall.meet()
        control.sendall(encode({"kind": "fork", "count": 1}))
        child, _, _ = hall.meet()
        tensor = {"name": "x", "datatype": "INT64", "shape": [1], "size": 8}
        control.sendall(encode({"kind": "batch", "id": 1, "inputs": [tensor]}, [bytes(8)]))
        frame = reader.read()
        assert frame is not None
        assert int.from_bytes(frame[1][:8], "little") == zygote["pid"]
        assert not alive(child["pid"])


class Hall:
    """A front made of one socket, and one worker that comes to it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = f"{self._folder.name}/hall"
        self.open: list[socket.socket] = []
        self.listen()
        self.log = folder / "log"
        meeting = {"TIFFIN_WORKER_SOCKET": self.path, "TIFFIN_WORKER_TOKEN": "secret", "PYTHONPATH": str(SRC)}
        environment |= meeting | {"TIFFIN_SERVICE": str(folder / "service.json")}
        with self.log.open("wb") as log:
            argv = [sys.executable, "-m", "tiffin_serve.worker"]
            self.process = subprocess.Popen(argv, env={**os.environ, **environment}, stderr=log)

    def listen(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.bind(self.path)
        self.socket.listen()

    def meet(self) -> tuple[dict[str, Any], FrameReader, socket.socket]:
        """Welcome who comes next."""
        connection, _ = self.socket.accept()
        connection.settimeout(DEADLINE)
        self.open.append(connection)
        reader = FrameReader(connection)
        frame = reader.read()
        assert frame is not None
        connection.sendall(encode({"kind": "welcome", "version": 1}))
        return frame[0], reader, connection

    def close(self) -> None:
        """Be gone, as a front that ends."""
        for each in [self.socket, *self.open]:
            each.close()
        Path(self.path).unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        self.close()
        self._folder.cleanup()


def test_garbage_from_a_worker_costs_it_its_connection_and_nobody_else_anything(predictor: Own, serve: Serve) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as liar:
        meeting = {"TIFFIN_WORKER_SOCKET": f"{folder}/hall", "TIFFIN_WORKER_TOKEN": "secret"}
        front = predictor(ECHO, arguments=["front"], environment=meeting)
        assert front.ask("GET", "/v2")[0] == 200
        own = {"format": "python", "predictor": "own:Predictor"}
        honest = serve(own, arguments=["worker"], environment=meeting)
        wait_for(lambda: working(front) == 1, "one is in")
        reader = pretend(liar, meeting["TIFFIN_WORKER_SOCKET"])
        wait_for(lambda: working(front) == 2, "both are in, and who came last is asked first")
        found: list[Any] = []
        asking = [threading.Thread(target=lambda: found.append(front.ask("POST", "/predict", [1]))) for _ in range(4)]
        for each in asking:
            each.start()
        assert reader.read() is not None
        liar.sendall(b"\xff" * 100)
        assert reader.read() is None
        for each in asking:
            each.join(DEADLINE)
        assert [status for status, _ in found] == [200] * 4
        wait_for(lambda: len(lines(front, "a worker does not keep to the protocol")) == 1, "it is said once")
        assert working(front) == 1
        assert (front.stop(), honest.stop()) == (0, 0)


def pretend(connection: socket.socket, path: str) -> FrameReader:
    """Say hello as a worker with a model would."""
    connection.settimeout(DEADLINE)
    connection.connect(path)
    connection.sendall(hello("secret"))
    reader = FrameReader(connection)
    assert reader.read() is not None
    return reader
