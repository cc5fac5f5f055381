"""The relay as a program: connections to real servers, led, held, drained."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import signal
import socket
import socketserver
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from programs.waiting import until
from tiffin_serve.relay.pairs import parted

DEADLINE = 20.0
SRC = Path(__file__).parents[4] / "src"


class Server(ThreadingHTTPServer):
    """A replica: it answers its name; `/slow` when it is released."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, name: str, port: int = 0) -> None:
        self.name, self.release, self.status, self.begun = name, threading.Event(), 200, threading.Event()
        super().__init__(("127.0.0.1", port), Answering)
        threading.Thread(target=lambda: self.serve_forever(0.01), daemon=True).start()

    def handle_error(self, *_: object) -> None:
        pass

    def upstream(self, **more: object) -> dict[str, object]:
        port = self.server_port
        return {"host": "127.0.0.1", "port": port, "pid": os.getpid(), "inner": port, **more}

    def close(self) -> None:
        self.release.set()
        self.shutdown()
        self.server_close()


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.server.begun.set()
            self.server.release.wait(DEADLINE)
        body = self.server.name.encode()
        self.send_response(self.server.status if self.path == "/ready" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Program:
    """A relay with one public socket, in a folder with its table."""

    def __init__(self, folder: Path, **table: Any) -> None:
        self.folder = folder
        self.public = socket.create_server(("127.0.0.1", 0))
        self.port = self.public.getsockname()[1]
        self.poked = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.poked.settimeout(DEADLINE)
        self.poked.bind(str(folder / "poke.sock"))
        admin = socket.socket(socket.AF_UNIX)
        admin.bind(str(folder / "front.sock"))
        admin.listen()
        self.write(**table)
        environment = {**os.environ, "PYTHONPATH": str(SRC), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:metrics"}
        argv = [sys.executable, "-m", "tiffin_serve.relay", "--table", str(folder / "table.json")]
        far = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 100) for one in (self.public, admin)]  # not in each other's way
        actions = [(os.POSIX_SPAWN_DUP2, number, at) for at, number in zip((3, 4), far, strict=True)]
        self.pid = os.posix_spawn(sys.executable, argv, environment, file_actions=actions)
        for number in far:
            os.close(number)
        admin.close()

    def write(self, **table: Any) -> None:
        whole = {"service": "web", "poke": str(self.folder / "poke.sock"), **table}
        (self.folder / "table.json").write_text(json.dumps(whole))

    def ask(self, method: str = "GET", path: str = "/table") -> tuple[int, bytes]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE)
            connection.connect(str(self.folder / "front.sock"))
            connection.sendall(f"{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def table(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask()[1])
        return found

    def revision(self, number: str) -> dict[str, Any]:
        found: dict[str, Any] = self.table()["revisions"][number]
        return found

    def change(self, **table: Any) -> None:
        self.write(**table)
        assert self.ask("POST")[0] == 200

    def get(self, path: str = "/") -> str:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        client.request("GET", path)
        answer = client.getresponse().read().decode()
        client.close()
        return answer

    def end(self) -> int:
        os.kill(self.pid, signal.SIGTERM)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    made = []

    def begin(**table: Any) -> Program:
        made.append(Program(tmp_path, **table))
        return made[-1]

    yield begin
    for one in made:
        if one.pid:
            one.end()
        one.public.close()
        one.poked.close()


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    made = []

    def begin(name: str, port: int = 0) -> Server:
        made.append(Server(name, port))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def rows(*revisions: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(number): one for number, one in enumerate(revisions, 1)}


Start, Serve = Callable[..., Program], Callable[..., Server]


def test_connections_go_to_whoever_has_the_fewest(start: Start, server: Serve) -> None:
    a, b = server("a"), server("b")
    relay = start(revisions=rows({"upstreams": {"a": a.upstream(), "b": b.upstream()}}))
    until(lambda: len(relay.revision("1")["ready"]) == 2)
    busy = threading.Thread(target=lambda: relay.get("/slow"))
    busy.start()
    until(lambda: a.begun.is_set() or b.begun.is_set())
    taken = "a" if a.begun.is_set() else "b"
    for _ in range(5):
        until(lambda: relay.revision("1")["connections"] == {taken: 1})
        assert relay.get() in {"a", "b"} - {taken}
    a.release.set()
    b.release.set()
    busy.join()


def test_a_canary_gets_its_share_of_connections_exactly(start: Start, server: Serve) -> None:
    old, new = server("old"), server("new")
    relay = start(
        revisions=rows(
            {"weight": 90, "upstreams": {"a": old.upstream()}}, {"weight": 10, "upstreams": {"b": new.upstream()}}
        )
    )
    until(lambda: relay.revision("1")["ready"] and relay.revision("2")["ready"])
    assert Counter(relay.get() for _ in range(50)) == {"old": 45, "new": 5}
    assert [relay.revision(number)["requests"] for number in ("1", "2")] == [45, 5]


def test_at_zero_a_connection_waits_and_the_supervisor_is_told(start: Start, server: Serve) -> None:
    relay = start(wakes=True, revisions=rows({"upstreams": {}}))
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(relay.get()))
    asking.start()
    until(lambda: relay.table()["waiting"] == 1)
    assert relay.poked.recv(100) == b"web"
    relay.change(wakes=True, revisions=rows({"upstreams": {"a": server("a").upstream()}}))
    asking.join(DEADLINE)
    assert answers == ["a"]
    assert relay.table()["waiting"] == 0


def test_a_revision_that_closes_finishes_what_it_has_and_gets_no_more(start: Start, server: Serve) -> None:
    old, new = server("old"), server("new")
    both = ({"upstreams": {"a": old.upstream()}}, {"upstreams": {"b": new.upstream()}})
    relay = start(revisions=rows(both[0]))
    until(lambda: relay.revision("1")["ready"])
    answers: list[str] = []
    busy = threading.Thread(target=lambda: answers.append(relay.get("/slow")))
    busy.start()
    until(old.begun.is_set)
    relay.change(revisions=rows({**both[0], "state": "closing"}, both[1]))
    until(lambda: relay.revision("2")["ready"])
    assert {relay.get() for _ in range(5)} == {"new"}
    assert relay.revision("1")["state"] == "closing"
    old.release.set()
    busy.join()
    assert answers == ["old"]
    until(lambda: relay.revision("1")["state"] == "closed")


def test_a_connection_that_is_kept_and_silent_is_closed_when_its_replica_drains(start: Start, server: Serve) -> None:
    a, b = server("a"), server("b")
    relay = start(revisions=rows({"upstreams": {"a": a.upstream()}}))
    until(lambda: relay.revision("1")["ready"])
    kept = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=DEADLINE)
    kept.request("GET", "/")
    assert kept.getresponse().read() == b"a"
    relay.change(revisions=rows({"upstreams": {"a": a.upstream(draining=True), "b": b.upstream()}}))
    assert kept.sock.recv(1) == b""
    kept.close()
    until(lambda: not relay.revision("1")["connections"])
    assert relay.get() == "b"


def test_a_client_that_keeps_asking_is_told_to_connect_anew_and_loses_nothing(start: Start, server: Serve) -> None:
    a, b = server("a"), server("b")
    relay = start(revisions=rows({"upstreams": {"a": a.upstream()}}))
    until(lambda: relay.revision("1")["ready"])
    kept = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=DEADLINE)
    answers = []

    def ask() -> str:
        kept.request("GET", "/")
        answers.append(kept.getresponse().read().decode())
        return answers[-1]

    assert ask() == "a"
    relay.change(revisions=rows({"upstreams": {"a": a.upstream(draining=True), "b": b.upstream()}}))
    until(lambda: ask() == "b")
    kept.close()
    assert set(answers) == {"a", "b"}


def test_only_the_answer_to_a_request_of_http_is_told_to_be_the_last() -> None:
    assert parted(b"HTTP/1.1 200 OK\r\na: b\r\n\r\n") == b"HTTP/1.1 200 OK\r\nconnection: close\r\na: b\r\n\r\n"
    for other in (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 101 Switching\r\n\r\n", b"+OK\r\n", b"HTTP/1.1 2", b""):
        assert parted(other) == other


def test_one_that_never_ends_is_cut_when_its_time_is_over(start: Start, server: Serve) -> None:
    a, b = server("a"), server("b")
    relay = start(revisions=rows({"upstreams": {"a": a.upstream()}}))
    until(lambda: relay.revision("1")["ready"])
    failed: list[str] = []

    def ask() -> None:
        try:
            relay.get("/slow")
        except (OSError, http.client.HTTPException) as error:
            failed.append(type(error).__name__)

    asking = threading.Thread(target=ask)
    asking.start()
    until(a.begun.is_set)
    upstreams = {"a": a.upstream(draining=True), "b": b.upstream()}
    relay.change(revisions=rows({"drain_seconds": 0.3, "upstreams": upstreams}))
    asking.join(DEADLINE)
    assert len(failed) == 1
    until(lambda: not relay.revision("1")["connections"])


def test_a_replica_that_was_lost_is_passed_over_and_found_again(start: Start, server: Serve) -> None:
    a, b = server("a"), server("b")
    table = {"revisions": rows({"upstreams": {"a": a.upstream(pid=0), "b": b.upstream()}})}
    relay = start(**table)
    until(lambda: len(relay.revision("1")["ready"]) == 2)
    port = a.server_port
    a.close()
    assert {relay.get() for _ in range(4)} == {"b"}
    assert list(relay.revision("1")["ready"]) == ["b"]
    server("a again", port)
    until(lambda: len(relay.revision("1")["ready"]) == 2)
    assert relay.revision("1")["errors"] == 0


def test_ready_and_live_are_asked_by_http(start: Start, server: Serve) -> None:
    a = server("a")
    a.status = 503
    relay = start(revisions=rows({"probe": {"ready": "/ready"}, "upstreams": {"a": a.upstream()}}))
    until(lambda: relay.poked.recv(100))
    assert relay.revision("1")["ready"] == {}
    a.status = 200
    until(lambda: relay.revision("1")["ready"])


def test_a_table_that_cannot_be_used_is_refused_and_the_old_one_stays(start: Start, server: Serve) -> None:
    relay = start(revisions=rows({"upstreams": {"a": server("a").upstream()}}))
    until(lambda: relay.revision("1")["ready"])
    relay.write(revisions=rows({"state": "ajar"}))
    status, body = relay.ask("POST")
    assert status == 400
    assert "ajar" in json.loads(body)["error"]
    assert relay.get() == "a"
    assert b'tiffin_relay_connections_total{revision="1"} 1' in relay.ask(path="/metrics")[1]


def test_it_ends_when_what_it_has_is_answered(start: Start, server: Serve) -> None:
    a = server("a")
    relay = start(revisions=rows({"upstreams": {"a": a.upstream()}}))
    until(lambda: relay.revision("1")["ready"])
    answers: list[str] = []
    busy = threading.Thread(target=lambda: answers.append(relay.get("/slow")))
    busy.start()
    until(a.begun.is_set)
    os.kill(relay.pid, signal.SIGTERM)
    a.release.set()
    busy.join()
    assert answers == ["a"]
    assert os.waitstatus_to_exitcode(os.waitpid(relay.pid, 0)[1]) == 0
    relay.pid = 0


SIZE = 8 << 20


class Counting(socketserver.BaseRequestHandler):
    """Reads to the end, and answers how much it was and as much again."""

    def handle(self) -> None:
        read = 0
        while piece := self.request.recv(1 << 16):
            read += len(piece)
        self.request.sendall(read.to_bytes(8, "big") + b"x" * read)


def test_what_is_large_goes_through_whole_both_ways_and_ends_pass_on(start: Start) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Counting) as counting:
        threading.Thread(target=lambda: counting.serve_forever(0.01), daemon=True).start()
        port = counting.server_address[1]
        upstream = {"host": "127.0.0.1", "port": port, "pid": os.getpid(), "inner": port}
        relay = start(revisions=rows({"upstreams": {"a": upstream}}))
        until(lambda: relay.revision("1")["ready"])
        with socket.create_connection(("127.0.0.1", relay.port), timeout=DEADLINE) as client:
            client.sendall(b"y" * SIZE)
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as answer:
                got = answer.read()
        counting.shutdown()
    assert int.from_bytes(got[:8], "big") == SIZE
    assert len(got) == SIZE + 8
