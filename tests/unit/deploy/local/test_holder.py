"""The public sockets outlive every process that serves them: fronts, their holder, and the supervisor."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiffin.deploy.local.fronts import Fronts, Order, Seen
from tiffin.errors import ConflictError, UnavailableError

DEADLINE = 20.0
FRONT = """
import os, select, signal, socket, sys, time

stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
assert os.environ["LISTEN_FDNAMES"] == "http:metrics"
http = socket.socket(fileno=3)
http.setblocking(False)
while not stopped:
    if not select.select([http], [], [], 0.01)[0]:
        continue
    try:
        client, _ = http.accept()
    except BlockingIOError:
        continue
    client.sendall(b"%s of %d" % (sys.argv[1].encode(), os.getpid()))
    client.close()
time.sleep(float(sys.argv[2]))
"""


def until(condition: Callable[[], object]) -> None:
    due = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < due, "gave up waiting"
        time.sleep(0.01)


def order(folder: Path, word: str, patience: float = 0.0) -> Order:
    place = folder / word
    place.mkdir(exist_ok=True)
    return Order(argv=(sys.executable, "-c", FRONT, word, str(patience)), env={}, cwd=str(place))


@pytest.fixture
def fronts(tmp_path: Path) -> Iterator[Fronts]:
    held = Fronts(tmp_path / "service")
    yield held
    held.end()
    until(lambda: not held.look())


def ask(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
        return client.recv(100).decode()


def hold(fronts: Fronts, port: int = 0) -> int:
    return fronts.hold({"http": ("127.0.0.1", port)})["http"][1]


def pid_of(fronts: Fronts, revision: int) -> int:
    def running() -> Seen | None:
        found = fronts.look().get(revision)
        return found if found and found.pid else None

    until(running)
    return fronts.look()[revision].pid


def test_a_front_that_is_killed_is_followed_by_another_and_nobody_is_refused(fronts: Fronts, tmp_path: Path) -> None:
    port = hold(fronts)
    fronts.start(1, order(tmp_path, "one"))
    first = pid_of(fronts, 1)
    assert ask(port) == f"one of {first}"
    gone = os.pidfd_open(first)
    os.kill(first, signal.SIGKILL)
    select.select([gone], [], [], DEADLINE)
    os.close(gone)
    assert ask(port).startswith("one of ")
    until(lambda: pid_of(fronts, 1) != first)


def test_the_next_front_takes_requests_while_the_last_one_finishes(fronts: Fronts, tmp_path: Path) -> None:
    port = hold(fronts)
    fronts.start(1, order(tmp_path, "one", patience=1000))
    last = pid_of(fronts, 1)
    ask(port)
    fronts.start(2, order(tmp_path, "two"))
    fronts.stop(1)
    until(lambda: all(ask(port).startswith("two") for _ in range(10)))
    assert fronts.look()[1].open is False
    os.kill(last, signal.SIGKILL)
    until(lambda: fronts.look().keys() == {2})


def test_a_supervisor_that_comes_later_is_given_the_sockets(fronts: Fronts, tmp_path: Path) -> None:
    port = hold(fronts)
    fronts.start(1, order(tmp_path, "one"))
    pid = pid_of(fronts, 1)
    later = Fronts(tmp_path / "service")
    assert hold(later, port=1) == port
    assert later.look()[1].pid == pid
    later.end()


def test_a_holder_that_is_killed_leaves_the_socket_to_the_next(fronts: Fronts, tmp_path: Path) -> None:
    port = hold(fronts)
    fronts.start(1, order(tmp_path, "one"))
    front = pid_of(fronts, 1)
    ask(port)  # it hears of signals now
    os.kill(fronts.pid(), signal.SIGKILL)
    until(lambda: not fronts.pid())
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as waiting:
        assert hold(fronts) == port
        fronts.start(1, order(tmp_path, "one"))
        assert waiting.recv(100).decode().startswith("one of ")
    assert pid_of(fronts, 1) != front


def test_a_front_that_does_not_start_is_tried_less_and_less_often(fronts: Fronts, tmp_path: Path) -> None:
    hold(fronts)
    fronts.start(1, Order(argv=("/nothing/there",), env={}, cwd=str(tmp_path)))
    until(lambda: fronts.look()[1].ends >= 2)
    assert "no front" in (tmp_path / "front.log").read_text()
    fronts.stop(1)
    until(lambda: not fronts.look())


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConflictError, match=f"cannot listen on 127.0.0.1:{port}"):
            hold(Fronts(tmp_path / "service"), port)


def test_without_a_holder_there_is_no_front(tmp_path: Path) -> None:
    fronts = Fronts(tmp_path / "service")
    assert fronts.look() == {}
    assert fronts.workers(tmp_path) is None
    with pytest.raises(UnavailableError, match="nobody holds the sockets"):
        fronts.stop(1)
