"""Answers that leave compressed: only where it is wanted, read and worth it, and in the order of their requests."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import pytest
import uvloop

from tiffin_serve.front.http.compression import LARGE, LEAST, Answer, Compressing, chosen, compressed
from tiffin_serve.front.http.exchange import JSON, Channel, Exchange
from unit.tiffin_serve.fronts import DEADLINE, Server

zstd: Any = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
DOUBLE = """
class Predictor:
    inputs = {"x": ("INT64", [-1])}
    outputs = {"y": ("INT64", [-1])}
    def predict(self, inputs):
        return {"y": inputs["x"] * 2}
"""
READ = {"gzip": gzip.decompress, "zstd": zstd.decompress}
FEW, SOME, MANY = 10, 2 * LEAST // 5, 2 * LARGE // 5


@pytest.fixture
def server(predictor: Callable[..., Server]) -> Server:
    return predictor(DOUBLE, serve={"compress": True}).ready()


def ask(
    server: Server, method: str, path: str, body: bytes | None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    try:
        connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
        response = connection.getresponse()
        return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def rows(count: int) -> bytes:
    return json.dumps([10_000] * count).encode()


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (b"gzip", b"gzip"),
        (b"gzip, deflate, br, zstd", b"zstd"),
        (b"zstd;q=0.5, gzip", b"gzip"),
        (b"GZIP ; q=0.1", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"gzip;q=0, zstd;q=0", b""),
        (b"gzip;q=much", b""),
        (b"identity", b""),
        (b"br, *;q=0.1", b""),
        (b"", b""),
        (b"\xff,,;", b""),
    ],
)
def test_the_coding_is_what_the_client_likes_best(accept: bytes, coding: bytes) -> None:
    assert chosen(accept) == coding


@pytest.mark.parametrize("coding", READ)
@pytest.mark.parametrize("count", [SOME, MANY])
def test_a_long_answer_is_the_same_after_unpacking(server: Server, coding: str, count: int) -> None:
    status, plain_headers, plain = ask(server, "POST", "/predict", rows(count))
    assert (status, plain_headers["vary"], "content-encoding" in plain_headers) == (200, "accept-encoding", False)
    status, headers, packed = ask(server, "POST", "/predict", rows(count), accept_encoding=coding)
    assert (status, headers["content-encoding"], headers["vary"]) == (200, coding, "accept-encoding")
    assert int(headers["content-length"]) == len(packed) < len(plain) / 10
    assert (
        READ[coding](packed) == plain == json.dumps({"predictions": [20_000] * count}, separators=(",", ":")).encode()
    )


def test_what_is_short_or_no_text_leaves_as_it_is(server: Server) -> None:
    assert "content-encoding" not in ask(server, "POST", "/predict", rows(FEW), accept_encoding="gzip")[1]
    assert "content-encoding" not in ask(server, "POST", "/predict", b"nonsense", accept_encoding="gzip")[1]
    npy = ask(server, "POST", "/predict", rows(MANY), accept_encoding="gzip", accept="application/x-npy")
    assert (npy[0], npy[2][:6], "content-encoding" in npy[1]) == (200, b"\x93NUMPY", False)
    parts = ask(server, "POST", "/predict", rows(MANY), accept_encoding="gzip", accept="application/x-ndjson")
    assert (parts[0], json.loads(parts[2])["predictions"][:1], "content-encoding" in parts[1]) == (200, [20_000], False)


def test_answers_leave_in_the_order_of_their_requests(server: Server) -> None:
    head = (
        "POST /predict HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nX-Request-Id: {}\r\nContent-Length: {}\r\n\r\n"
    )
    sent = [rows(count) for count in (MANY, FEW, SOME, MANY, FEW)]
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
        client.sendall(b"".join(head.format(place, len(body)).encode() + body for place, body in enumerate(sent)))
        answers = client.makefile("rb")
        for place, body in enumerate(sent):
            assert answers.readline().startswith(b"HTTP/1.1 200")
            headers = http.client.parse_headers(answers)
            answer = answers.read(int(headers["content-length"]))
            whole = gzip.decompress(answer) if headers["content-encoding"] else answer
            assert headers["x-request-id"] == str(place)
            assert len(json.loads(whole)["predictions"]) == len(json.loads(body))


def test_a_compressed_page_has_a_weak_tag_that_is_known_again(server: Server) -> None:
    _, plain, _ = ask(server, "GET", "/openapi.json", None)
    _, headers, body = ask(server, "GET", "/openapi.json", None, accept_encoding="gzip")
    assert (headers["content-encoding"], headers["etag"]) == ("gzip", f"W/{plain['etag']}")
    assert json.loads(gzip.decompress(body))["openapi"] == "3.1.0"
    _, alone, nothing = ask(server, "HEAD", "/openapi.json", None, accept_encoding="gzip")
    assert (alone["content-length"], nothing) == (headers["content-length"], b"")
    assert ask(server, "GET", "/openapi.json", None, accept_encoding="gzip", if_none_match=headers["etag"])[0] == 304


def test_nothing_is_compressed_unless_it_is_asked_for(predictor: Callable[..., Server]) -> None:
    server = predictor(DOUBLE).ready()
    status, headers, _ = ask(server, "POST", "/predict", rows(SOME), accept_encoding="gzip, zstd")
    assert (status, headers.keys() & {"vary", "content-encoding"}) == (200, set())


def test_clients_that_leave_meanwhile_harm_nobody(server: Server) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nContent-Length: {len(rows(MANY))}\r\n\r\n"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
            client.sendall(head.encode() + rows(MANY))
    assert ask(server, "POST", "/predict", rows(MANY), accept_encoding="gzip")[0] == 200
    assert "Traceback" not in server.log


def test_an_answer_that_cannot_be_compressed_leaves_as_it_is() -> None:
    class Line:
        congested = False
        sent: Answer | None = None

        def flush(self) -> None:
            self.sent = exchange.reply

    async def fail() -> None:
        raise MemoryError

    line, reply = Line(), (200, b"x", JSON)
    exchange = Exchange(cast("Channel", line), b"GET", b"/", {})
    loop = uvloop.new_event_loop()
    task = loop.create_task(fail())
    with pytest.raises(MemoryError):
        loop.run_until_complete(task)
    Compressing(exchange, cast("Channel", line), b"gzip", loop)._send(reply, cast("Any", task))
    loop.close()
    assert line.sent == reply


def test_the_same_answer_is_the_same_bytes() -> None:
    reply = (200, b"x" * LEAST, JSON)
    assert compressed(reply, b"gzip") == compressed(reply, b"gzip")
