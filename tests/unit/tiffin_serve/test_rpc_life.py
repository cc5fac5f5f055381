"""gRPC while things happen: deadlines, clients that go, streams, strangers, the end of the model and of the server."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tiffin_serve.front.rpc import health_pb2 as health
from tiffin_serve.front.rpc import inference_pb2 as inference
from tiffin_serve.front.server import GRACE_SECONDS
from unit.tiffin_serve.fronts import DEADLINE, Server, wait_for
from unit.tiffin_serve.rpcs import Client, client, refusal, request, typed

STATUS = health.HealthCheckResponse
SLOW = """
import pathlib, time
FOLDER = pathlib.Path(__file__).parent
class Predictor:
    inputs = {"n": ("INT64", [-1])}
    batch = False
    def predict(self, inputs):
        with (FOLDER / "asked").open("a") as file:
            print(inputs["n"][0], file=file)
        while (FOLDER / "wait").exists():
            time.sleep(0.005)
        return {"n": inputs["n"]}
"""
QUICK = """
class Predictor:
    inputs = {"n": ("INT64", [-1])}
    outputs = {"n": ("INT64", [-1])}
    def predict(self, inputs):
        return inputs
"""


def number(value: int, **more: Any) -> Any:
    return request(typed("n", "INT64", [1], "int64_contents", [value]), **more)


def value_of(answer: Any) -> int:
    return int(answer.outputs[0].contents.int64_contents[0])


class Slow:
    """A model that waits while a file is there, and writes down what it was asked."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.server = server
        self._wait = folder / "wait"
        self._asked = folder / "asked"

    def hold(self) -> None:
        self._wait.touch()

    def let_go(self) -> None:
        self._wait.unlink()

    @property
    def asked(self) -> list[int]:
        return [int(line) for line in self._asked.read_text().split()] if self._asked.exists() else []


@pytest.fixture
def slow(predictor: Callable[..., Server], tmp_path: Path) -> Slow:
    return Slow(tmp_path, predictor(SLOW, serve={"grpc": True, "queue": 4}).ready())


# --- deadlines, queue, cancellation


def test_a_client_is_told_when_its_deadline_passes_and_the_model_is_not_asked_for_it(slow: Slow) -> None:
    slow.hold()
    with client(slow.server.grpc_port) as asked:
        first = asked.call("ModelInfer").future(number(1), timeout=DEADLINE, wait_for_ready=True)
        wait_for(lambda: slow.asked == [1], "the model is busy")
        with pytest.raises(grpc.RpcError) as caught:
            asked.ask("ModelInfer", number(2), seconds=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        slow.let_go()
        assert value_of(first.result()) == 1
        assert value_of(asked.ask("ModelInfer", number(3))) == 3
    assert slow.asked == [1, 3]


def test_the_servers_own_deadline_holds_for_a_client_without_one(
    predictor: Callable[..., Server], tmp_path: Path
) -> None:
    slow = Slow(tmp_path, predictor(SLOW, serve={"grpc": True, "deadline_ms": 100}).ready())
    slow.hold()
    with client(slow.server.grpc_port) as asked:
        first = asked.call("ModelInfer").future(number(1), wait_for_ready=True)
        wait_for(lambda: slow.asked == [1], "the model is busy")
        with pytest.raises(grpc.RpcError) as caught:
            asked.call("ModelInfer")(number(2))
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        first.cancel()
    slow.let_go()


def test_a_call_that_is_cancelled_never_reaches_the_model(slow: Slow) -> None:
    slow.hold()
    with client(slow.server.grpc_port) as asked:
        first = asked.call("ModelInfer").future(number(1), timeout=DEADLINE, wait_for_ready=True)
        wait_for(lambda: slow.asked == [1], "the model is busy")
        second = asked.call("ModelInfer").future(number(2), timeout=DEADLINE)
        wait_for(lambda: queued(slow.server) == 1, "the second waits")
        second.cancel()
        wait_for(
            lambda: (
                slow.server.metrics().get('tiffin_requests_total{model="iris",version="1",protocol="grpc",code="499"}')
                == 1
            ),
            "it is gone",
        )
        slow.let_go()
        assert value_of(first.result()) == 1
        assert value_of(asked.ask("ModelInfer", number(3))) == 3
    assert slow.asked == [1, 3]


def queued(server: Server) -> float:
    return server.metrics()['tiffin_queue_depth{model="iris"}']


def test_more_than_may_wait_are_told_that_there_are_too_many(slow: Slow) -> None:
    slow.hold()
    with client(slow.server.grpc_port) as asked:
        call = asked.call("ModelInfer")
        first = call.future(number(1), timeout=DEADLINE, wait_for_ready=True)
        wait_for(lambda: slow.asked == [1], "the model is busy")
        waiting = [call.future(number(2), timeout=DEADLINE) for _ in range(4)]
        wait_for(lambda: queued(slow.server) == 4, "the queue is full")
        with pytest.raises(grpc.RpcError) as caught:
            asked.ask("ModelInfer", number(3))
        assert refusal(caught.value) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests wait already")
        slow.let_go()
        assert [value_of(answer.result()) for answer in [first, *waiting]] == [1, 2, 2, 2, 2]


# --- streams


def test_a_stream_is_answered_in_order_and_goes_on_after_a_bad_request(slow: Slow) -> None:
    final = {"triton_enable_empty_final_response": inference.InferParameter(bool_param=True)}
    asked_for = [
        number(1, id="a"),
        number(2, id="b", model_name="rose"),
        number(3, id="c", parameters=final),
        b"\xff\xff",
        number(5, id="e"),
    ]
    with client(slow.server.grpc_port) as asked:
        found = list(asked.stream(iter(asked_for)))
    assert [answer.infer_response.id for answer in found] == ["a", "b", "c", "c", "", "e"]
    assert [bool(answer.error_message) for answer in found] == [False, True, False, False, True, False]
    assert "there is no model 'rose'" in found[1].error_message
    assert [value_of(found[place].infer_response) for place in (0, 2, 5)] == [1, 3, 5]
    assert found[3].infer_response.parameters["triton_final_response"].bool_param
    assert not found[3].infer_response.outputs


def test_a_stream_of_many_requests_is_answered_whole(slow: Slow) -> None:
    with client(slow.server.grpc_port) as asked:
        answers = asked.stream(number(value) for value in range(4))
        assert [value_of(answer.infer_response) for answer in answers] == [0, 1, 2, 3]


def test_a_stream_that_is_cancelled_leaves_nothing_in_the_queue(slow: Slow) -> None:
    slow.hold()
    with client(slow.server.grpc_port) as asked:
        answers = asked.stream(number(value) for value in range(3))
        wait_for(lambda: slow.asked == [0] and queued(slow.server) == 2, "one is out, two wait")
        answers.cancel()
        wait_for(
            lambda: (
                slow.server.metrics().get('tiffin_requests_total{model="iris",version="1",protocol="grpc",code="499"}')
                == 1
            ),
            "it is gone",
        )
        slow.let_go()
        assert value_of(asked.ask("ModelInfer", number(7))) == 7
    assert slow.asked == [0, 7]


# --- health, and the model's coming and going


def test_health_is_known_by_every_name_and_unknown_for_others(slow: Slow) -> None:
    with client(slow.server.grpc_port) as asked:
        for name in ("", "inference.GRPCInferenceService", "iris"):
            assert asked.check(name) == STATUS.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            asked.check("rose")
        assert refusal(caught.value) == (grpc.StatusCode.NOT_FOUND, "there is no service 'rose' here")
        watched = asked.watch("rose")
        assert next(watched).status == STATUS.SERVICE_UNKNOWN
        watched.cancel()


def test_who_watches_health_hears_of_the_end_at_once_and_is_let_go(slow: Slow) -> None:
    with client(slow.server.grpc_port) as asked:
        watched = asked.watch()
        assert next(watched).status == STATUS.SERVING
        slow.server.process.terminate()
        assert next(watched).status == STATUS.NOT_SERVING
        assert list(watched) == []
    assert slow.server.process.wait(DEADLINE) == 0


def test_before_the_model_is_loaded_it_is_unavailable(predictor: Callable[..., Server], tmp_path: Path) -> None:
    loading = "    def load(self, path):\n        while (FOLDER / 'load').exists():\n            time.sleep(0.005)\n"
    (tmp_path / "load").touch()
    server = predictor(SLOW + loading, serve={"grpc": True})
    with client(server.grpc_port) as asked:
        assert asked.ask("ServerLive").live
        assert not asked.ask("ServerReady").ready
        assert asked.check() == STATUS.NOT_SERVING
        assert asked.ask("RepositoryIndex").models[0].state == "LOADING"
        watched = asked.watch("iris")
        assert next(watched).status == STATUS.NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            asked.ask("ModelInfer", number(1))
        assert refusal(caught.value) == (grpc.StatusCode.UNAVAILABLE, "the model is not loaded yet")
        (tmp_path / "load").unlink()
        assert next(watched).status == STATUS.SERVING
        watched.cancel()
        assert value_of(asked.ask("ModelInfer", number(1))) == 1


def test_a_model_is_unloaded_and_loaded_again(slow: Slow) -> None:
    with client(slow.server.grpc_port) as asked:
        asked.ask("RepositoryModelUnload", inference.RepositoryModelUnloadRequest(model_name="iris"))
        wait_for(lambda: not asked.ask("ServerReady").ready, "unloaded")
        (model,) = asked.ask("RepositoryIndex").models
        assert (model.state, model.reason) == ("UNAVAILABLE", "unloaded")
        assert not asked.ask("RepositoryIndex", inference.RepositoryIndexRequest(ready=True)).models
        with pytest.raises(grpc.RpcError) as caught:
            asked.ask("ModelInfer", number(1))
        assert refusal(caught.value) == (grpc.StatusCode.UNAVAILABLE, "the model is unloaded")
        asked.ask("RepositoryModelLoad", inference.RepositoryModelLoadRequest(model_name="iris"))
        assert value_of(asked.ask("ModelInfer", number(2))) == 2
        with pytest.raises(grpc.RpcError) as caught:
            asked.ask("RepositoryModelLoad", inference.RepositoryModelLoadRequest(model_name="rose"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


# --- strangers

STRANGERS = {
    "HTTP/1": b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n",
    "noise": bytes(range(256)) * 64,
    "a frame without end": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(1000),
    "an enormous message": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) + struct.pack(">I", 2**32 - 1),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_strangers_on_the_port_are_hung_up_on_and_others_are_served(slow: Slow, what: str) -> None:
    with socket.create_connection(("127.0.0.1", slow.server.grpc_port), timeout=DEADLINE) as stranger:
        stranger.sendall(STRANGERS[what])
        try:
            while stranger.recv(65536):
                pass
        except ConnectionResetError:
            pass
    with client(slow.server.grpc_port) as asked:
        assert value_of(asked.ask("ModelInfer", number(1))) == 1


def test_connections_that_say_nothing_hinder_nobody_and_are_closed_at_the_end(slow: Slow) -> None:
    address = ("127.0.0.1", slow.server.grpc_port)
    silent = [socket.create_connection(address, timeout=DEADLINE) for _ in range(50)]
    silent[0].shutdown(socket.SHUT_WR)
    silent[1].close()
    with client(slow.server.grpc_port) as asked:
        assert value_of(asked.ask("ModelInfer", number(1))) == 1
    assert slow.server.stop() == 0
    for connection in silent[2:]:
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass
        connection.close()
    silent[0].close()


# --- the end


class Crowd(threading.Thread):
    """One client that asks until it is refused a connection, and keeps what went wrong before that."""

    def __init__(self, port: int, first: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._first = first
        self.answered = 0
        self.lost: list[str] = []

    def run(self) -> None:
        with client(self._port) as asked:
            self._ask(asked)

    def _ask(self, asked: Client) -> None:
        for value in range(self._first, self._first + 10**6):
            try:
                answer = asked.call("ModelInfer")(number(value), timeout=DEADLINE)
            except grpc.RpcError as error:
                if "Connection refused" not in error.details():
                    self.lost.append(str(refusal(error)))
                return
            if value_of(answer) != value:
                self.lost.append(f"{value_of(answer)} for {value}")
            self.answered += 1


@pytest.mark.parametrize("drain_seconds", [0, 0.3])
def test_a_server_that_stops_under_load_loses_no_request(
    predictor: Callable[..., Server], drain_seconds: float
) -> None:
    server = predictor(QUICK, serve={"grpc": True, "drain_seconds": drain_seconds}).ready()
    crowd = [Crowd(server.grpc_port, place * 10**6) for place in range(8)]
    for one in crowd:
        one.start()
    wait_for(lambda: all(one.answered > 20 for one in crowd), "everyone is answered")
    assert server.stop() == 0
    for one in crowd:
        one.join(DEADLINE)
        assert not one.is_alive()
    assert [one.lost for one in crowd] == [[] for _ in crowd]
    assert "Traceback" not in server.log


def test_what_is_in_flight_is_answered_before_the_end(slow: Slow) -> None:
    slow.hold()
    with client(slow.server.grpc_port) as asked:
        first = asked.call("ModelInfer").future(number(1), timeout=DEADLINE, wait_for_ready=True)
        wait_for(lambda: slow.asked == [1], "the model is busy")
        watched = asked.watch()
        assert next(watched).status == STATUS.SERVING
        slow.server.process.terminate()
        assert next(watched).status == STATUS.NOT_SERVING
        slow.let_go()
        assert value_of(first.result()) == 1
    assert slow.server.process.wait(DEADLINE) == 0


def test_a_stream_on_which_nothing_is_asked_does_not_hold_up_the_end(slow: Slow) -> None:
    done = threading.Event()

    def one_and_wait() -> Iterator[Any]:
        yield number(1)
        done.wait(DEADLINE)

    with client(slow.server.grpc_port) as asked:
        answers = asked.stream(one_and_wait())
        assert value_of(next(answers).infer_response) == 1
        slow.server.process.terminate()
        assert slow.server.process.wait(GRACE_SECONDS / 2) == 0
        done.set()
        with pytest.raises(grpc.RpcError):
            next(answers)


def test_a_server_that_wants_tokens_and_has_none_does_not_answer_without(predictor: Callable[..., Server]) -> None:
    server = predictor(SLOW, serve={"grpc": True, "auth": "bearer"})
    assert server.process.wait(DEADLINE) != 0
    assert "token" in server.log


def test_a_second_signal_ends_it_at_once(slow: Slow) -> None:
    slow.hold()
    with client(slow.server.grpc_port) as asked:
        first = asked.call("ModelInfer").future(number(1), timeout=DEADLINE, wait_for_ready=True)
        wait_for(lambda: slow.asked == [1], "the model is busy")
        slow.server.end()
        with pytest.raises(grpc.RpcError):
            first.result()
    assert slow.server.process.returncode == 143
    assert "Traceback" not in slow.server.log


def test_no_folder_is_left_behind(slow: Slow) -> None:
    with client(slow.server.grpc_port) as asked:
        assert asked.ask("ServerReady").ready
    (path,) = {
        line.split()[-1]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if line.endswith("/grpc.sock") and _is_of(slow.server, line.split()[6])
    }
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    assert slow.server.stop() == 0
    assert not Path(path).parent.exists()


def _is_of(server: Server, inode: str) -> bool:
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if str(link.readlink()) == f"socket:[{inode}]":
                return True
    return False


def test_without_grpcio_the_server_says_so_and_ends(predictor: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['grpc'] = None\n")
    path = f"{tmp_path}:{Path(__file__).parents[3] / 'src'}"
    launcher = [sys.executable, "-m", "tiffin_serve.front"]
    server = predictor(SLOW, serve={"grpc": True}, launcher=launcher, environment={"PYTHONPATH": path})
    assert server.process.wait(DEADLINE) == 3
    assert "gRPC cannot be answered: " in server.log
    assert "Traceback" not in server.log
