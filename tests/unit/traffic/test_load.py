"""Loads on small servers in threads: what is counted, and that a slow server cannot hide."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tiffin.errors import UnavailableError
from tiffin.traffic.address import Address, Question
from tiffin.traffic.load import Measured, measure
from tiffin.traffic.schedule import Load

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def answering(behave: socketserver.BaseRequestHandler | type) -> Iterator[Address]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), behave)  # type: ignore[arg-type]
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Address(host="127.0.0.1", port=server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


class Prompt(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while self.request.recv(65536):
            self.request.sendall(OK)


class Stalls(socketserver.BaseRequestHandler):
    """Answers at once, but for one pause of half a second in which nobody is answered."""

    began = 0.0
    lock = threading.Lock()

    def handle(self) -> None:
        while self.request.recv(65536):
            with Stalls.lock:
                now = time.perf_counter()
                Stalls.began = Stalls.began or now
                if Stalls.began > 0 and now - Stalls.began > 0.5:
                    Stalls.began = -1.0
                    threading.Event().wait(0.5)
            self.request.sendall(OK)


class Hangs(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(65536)
        self.request.recv(65536)


class HangsUp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(65536)


def ask(address: Address, right: str = "ok", **load: float) -> Measured:
    return measure(
        address,
        Question(body=b"[[1]]"),
        Load(**{"seconds": 0.6, "warm_up": 0.1, "connections": 2, **load}),  # type: ignore[arg-type]
        lambda answer: answer.body == right.encode(),
    )


def test_a_closed_loop_counts_what_was_answered() -> None:
    with answering(Prompt) as address:
        found = ask(address)
    assert found.answered == found.latencies.count > 10
    assert not found.errors
    assert found.wrong == found.late == 0


def test_an_open_loop_asks_at_its_rate_whatever_the_server_can() -> None:
    with answering(Prompt) as address:
        found = ask(address, rate=200, seconds=1, connections=8)
    assert found.answered == pytest.approx(200, rel=0.35)


def test_a_pause_of_the_server_is_seen_by_all_that_were_due_in_it() -> None:
    Stalls.began = 0.0
    with answering(Stalls) as address:
        found = ask(address, rate=100, even=True, seconds=1.5, warm_up=0.01)
    held_up = sum(count for least, count in found.latencies.filled() if least > 0.1)
    assert held_up >= 30  # a loop that waits for its answers would have seen two


def test_wrong_answers_are_counted_apart() -> None:
    with answering(Prompt) as address:
        found = ask(address, right="another")
    assert (found.answered, found.wrong > 10) == (0, True)


def test_what_is_never_answered_times_out() -> None:
    with answering(Hangs) as address:
        found = ask(address, time_out=0.2)
    assert found.errors["no answer in time"] >= 2
    assert found.answered == 0


def test_a_server_that_hangs_up_is_asked_again_on_a_new_connection() -> None:
    with answering(HangsUp) as address:
        found = ask(address)
    assert found.errors["the connection was closed"] > 2


def test_nobody_there_is_said_at_once() -> None:
    with answering(Prompt) as address:
        pass
    with pytest.raises(UnavailableError, match="does not answer"):
        ask(address)
