"""Answers in parts, and a client's patience, over a real front and a worker that the test plays."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tiffin_serve.front.rest.asking import seconds_of
from tiffin_serve.front.rest.streaming import EVENTS, LINES, form_of
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.worker.frames import FrameReader, encode
from unit.tiffin_serve.fronts import DEADLINE, Serve, Server

TEXT = {"name": "text", "datatype": "BYTES", "shape": [-1]}
EVENT, LINE = {"Accept": "text/event-stream"}, {"Accept": "application/x-ndjson"}
GENERATE = "/v2/models/iris/generate_stream"


class Played:
    """A worker that does what the test says."""

    def __init__(self, path: str, *, streams: bool) -> None:
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.settimeout(DEADLINE)
        self.connection.connect(path)
        signature = {
            "platform": "python_predictor",
            "inputs": [TEXT],
            "outputs": [TEXT],
            "batches": not streams,
            "streams": streams,
        }
        self.say({"kind": "hello", "version": 1, "token": "secret", "signature": signature})
        self._reader = FrameReader(self.connection)
        assert self.read()["kind"] == "welcome"

    def say(self, head: dict[str, Any], *texts: bytes) -> None:
        if texts:
            data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
            outputs = [{"name": "text", "datatype": "BYTES", "shape": [len(texts)], "size": len(data)}]
            self.connection.sendall(encode({**head, "outputs": outputs}, [data]))
        else:
            self.connection.sendall(encode({"outputs": [], **head}))

    def read(self) -> dict[str, Any]:
        frame = self._reader.read()
        assert frame is not None
        return frame[0]


Play = Callable[..., tuple[Server, Played]]


@pytest.fixture
def play(tmp_path: Path, serve: Serve) -> Iterator[Play]:
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [Reader.opened.pop().close() for _ in range(len(Reader.opened))])

        def begin(*, streams: bool = True, **serving: Any) -> tuple[Server, Played]:
            path = str(tmp_path / "w.sock")
            environment = {"TIFFIN_WORKER_SOCKET": path, "TIFFIN_WORKER_TOKEN": "secret"}
            server = serve({"format": "python"}, arguments=["front"], environment=environment, serve=serving)
            assert server.port
            worker = Played(path, streams=streams)
            stack.enter_context(worker.connection)
            return server.ready(), worker

        yield begin


class Reader:
    """A client that reads an answer while it comes."""

    opened: ClassVar[list[Reader]] = []

    def __init__(self, server: Server, path: str, body: Any, headers: dict[str, str]) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
        self.answer: http.client.HTTPResponse | None = None
        self.__class__.opened.append(self)
        self.connection.request("POST", path, json.dumps(body).encode(), headers)

    def response(self) -> http.client.HTTPResponse:
        self.answer = self.connection.getresponse()
        return self.answer

    def close(self) -> None:
        if self.answer is not None:
            self.answer.close()
        self.connection.close()

    def event(self) -> str:
        assert self.answer is not None
        lines = []
        while line := self.answer.readline().decode().rstrip("\n"):
            lines.append(line)
        return "\n".join(lines)


def test_parts_are_events_that_leave_when_they_come(play: Play) -> None:
    server, worker = play()
    reader = Reader(server, GENERATE, {"text": "hi", "id": "7", "parameters": {"k": 2}}, EVENT)
    batch = worker.read()
    assert (batch["stream"], batch["parameters"], batch["inputs"][0]["shape"]) == (True, {"k": 2}, [1])
    worker.say({"kind": "part", "id": batch["id"]}, b"one")
    response = reader.response()
    assert (response.status, response.getheader("content-type")) == (200, "text/event-stream; charset=utf-8")
    said = {"model_name": "iris", "model_version": "1", "id": "7"}
    assert json.loads(reader.event().removeprefix("data: ")) == {**said, "text": "one"}
    worker.say({"kind": "part", "id": batch["id"]}, b"two")
    assert json.loads(reader.event().removeprefix("data: ")) == {**said, "text": "two"}
    worker.say({"kind": "result", "id": batch["id"], "seconds": 0.1})
    assert reader.event() == "event: end\ndata: {}"
    assert reader.event() == ""


@pytest.mark.parametrize(
    "path", ["/predict", "/v2/models/iris/infer_stream", "/v2/models/iris/versions/1/infer_stream"]
)
def test_every_path_that_streams_gives_lines_to_who_accepts_them(play: Play, path: str) -> None:
    server, worker = play()
    infer = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["hi"]}]}
    reader = Reader(server, path, ["hi"] if path == "/predict" else infer, LINE)
    number = worker.read()["id"]
    for text in (b"one", b"two"):
        worker.say({"kind": "part", "id": number}, text)
    worker.say({"kind": "result", "id": number})
    response = reader.response()
    assert response.getheader("content-type") == "application/x-ndjson"
    lines = [json.loads(line) for line in response.read().splitlines()]
    texts = [line["predictions"] if path == "/predict" else line["outputs"][0]["data"] for line in lines]
    assert texts == [["one"], ["two"]]


def test_what_fails_before_the_first_part_is_an_error_of_http(play: Play) -> None:
    server, worker = play()
    reader = Reader(server, GENERATE, {"text": "hi"}, EVENT)
    worker.say({"kind": "failure", "id": worker.read()["id"], "message": "too short", "refused": True})
    response = reader.response()
    assert (response.status, json.loads(response.read())) == (400, {"error": "the model refused the input: too short"})


@pytest.mark.parametrize("accept", [EVENT, LINE])
def test_what_fails_after_it_is_the_last_event(play: Play, accept: dict[str, str]) -> None:
    server, worker = play()
    reader = Reader(server, GENERATE, {"text": "hi"}, accept)
    number = worker.read()["id"]
    worker.say({"kind": "part", "id": number}, b"one")
    worker.say({"kind": "failure", "id": number, "message": "ValueError: no", "refused": False})
    lines = reader.response().read().decode().splitlines()
    assert json.loads(lines[-1 if accept is LINE else -2].removeprefix("data: ")) == {
        "error": "the model failed: ValueError: no"
    }
    assert ("event: error" in lines) == (accept is EVENT)


def test_a_worker_that_dies_in_the_middle_ends_the_answer_with_an_error(play: Play) -> None:
    server, worker = play()
    reader = Reader(server, GENERATE, {"text": "hi"}, LINE)
    worker.say({"kind": "part", "id": worker.read()["id"]}, b"one")
    response = reader.response()
    worker.connection.close()
    last = response.read().splitlines()[-1]
    assert json.loads(last) == {"error": "the worker died before the end of the answer"}


def test_generate_puts_the_parts_together(play: Play) -> None:
    server, worker = play()
    reader = Reader(server, "/v2/models/iris/generate", {"text": "hi"}, {})
    number = worker.read()["id"]
    for text in (b"Once ", b"upon"):
        worker.say({"kind": "part", "id": number}, text)
    worker.say({"kind": "result", "id": number}, b" a time")
    assert json.loads(reader.response().read())["text"] == "Once upon a time"


def test_generate_does_not_collect_without_end(play: Play) -> None:
    server, worker = play(max_body_bytes=1000)
    reader = Reader(server, "/v2/models/iris/generate", {"text": "hi"}, {})
    number = worker.read()["id"]
    worker.say({"kind": "part", "id": number}, b"x" * 2000)
    assert reader.response().status == 500
    assert worker.read() == {"kind": "cancel", "id": number}


def test_a_model_that_does_not_stream_gives_one_event_and_shares_its_batches(play: Play) -> None:
    server, worker = play(streams=False)
    reader = Reader(server, GENERATE, {"text": "hi"}, EVENT)
    batch = worker.read()
    assert "stream" not in batch
    worker.say({"kind": "result", "id": batch["id"]}, b"whole")
    reader.response()
    assert json.loads(reader.event().removeprefix("data: "))["text"] == "whole"
    assert reader.event() == "event: end\ndata: {}"


def test_a_worker_hears_that_the_client_has_gone(play: Play) -> None:
    server, worker = play()
    reader = Reader(server, GENERATE, {"text": "hi"}, EVENT)
    number = worker.read()["id"]
    worker.say({"kind": "part", "id": number}, b"one")
    reader.response()
    reader.event()
    reader.close()
    assert worker.read() == {"kind": "cancel", "id": number}
    worker.say({"kind": "result", "id": number})
    again = Reader(server, GENERATE, {"text": "hi"}, EVENT)
    worker.say({"kind": "result", "id": worker.read()["id"]}, b"two")
    assert again.response().status == 200


def test_a_client_that_does_not_read_makes_the_worker_wait_instead_of_filling_the_front(play: Play) -> None:
    server, worker = play()
    reader = Reader(server, GENERATE, {"text": "hi"}, LINE)
    part, sent = {"kind": "part", "id": worker.read()["id"]}, 0
    worker.connection.settimeout(1)
    with contextlib.suppress(TimeoutError):
        while sent < 200:
            worker.say(part, b"x" * 1_000_000)
            sent += 1
    assert sent < 30  # what sockets hold by themselves
    response = reader.response()
    for _ in range(sent):
        assert len(response.readline()) > 1_000_000


def test_a_client_that_reads_gets_everything(play: Play) -> None:
    server, worker = play()
    reader = Reader(server, GENERATE, {"text": "hi"}, LINE)
    number, count = worker.read()["id"], 64

    def work() -> None:
        for place in range(count):
            worker.say({"kind": "part", "id": number}, b"%08d" % place + b"x" * 1_000_000)
        worker.say({"kind": "result", "id": number})

    thread = threading.Thread(target=work)
    thread.start()
    texts = [json.loads(line)["text"] for line in reader.response().read().splitlines()]
    thread.join(DEADLINE)
    assert [text[:8] for text in texts] == [f"{place:08d}" for place in range(count)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "send"),
        (b"[1]", "expected `object`"),
        (b"{}", "there are no inputs"),
        (b'{"id": 1, "text": "x"}', "`id` must be a text"),
        (b'{"parameters": [], "text": "x"}', "`parameters` an object"),
        (b'{"text": "x", "other": 1}', "other"),
        (b'{"text": "x", "parameters": {"timeout": "soon"}}', "microseconds"),
    ],
)
def test_a_generation_that_cannot_be_read_is_refused_with_the_place(play: Play, body: bytes, said: str) -> None:
    server, _ = play()
    status, answer = server.ask("POST", GENERATE, body)
    assert status == 400
    assert said in answer["error"]


def test_a_client_that_waits_no_longer_is_told_so(play: Play) -> None:
    server, worker = play(streams=False)
    infer = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["hi"]}]}
    status, answer = server.ask("POST", "/v2/models/iris/infer", infer, {"Inference-Timeout": "50"})
    assert (status, answer) == (504, {"error": "there was no answer within 0.05 seconds"})
    number = worker.read()["id"]
    worker.say({"kind": "result", "id": number}, b"late")
    infer["parameters"] = {"timeout": 60_000}  # type: ignore[assignment] # microseconds
    assert server.ask("POST", "/v2/models/iris/infer", infer)[0] == 504
    assert "parameters" not in worker.read()
    assert server.metrics()['tiffin_requests_total{model="iris",version="1",protocol="oip",code="504"}'] == 2


@pytest.mark.parametrize("value", ["", "-1", "0", "1.5", "soon", "1_0", "9" * 30])
def test_a_patience_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(RequestError, match="Inference-Timeout"):
        seconds_of({b"inference-timeout": value.encode()})


@pytest.mark.parametrize("value", [-1, 1.5, "1", True, None])
def test_a_timeout_that_is_no_number_of_microseconds_is_refused(value: object) -> None:
    with pytest.raises(RequestError, match="timeout"):
        seconds_of({}, {"timeout": value})


def test_the_shorter_patience_holds() -> None:
    assert seconds_of({}) is None
    assert seconds_of({}, {"timeout": 0}) is None
    assert seconds_of({b"inference-timeout": b"200"}, {"timeout": 100_000}) == 0.1
    assert seconds_of({b"inference-timeout": b"50"}, {"timeout": 100_000}) == 0.05


def test_the_form_is_the_first_one_that_is_accepted() -> None:
    assert form_of(b"text/html, Text/Event-Stream;q=0.9") is EVENTS
    assert form_of(b"application/x-ndjson, text/event-stream") is LINES
    assert form_of(b"*/*") is None
