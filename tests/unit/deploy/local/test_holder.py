"""The public sockets outlive every process that serves them: fronts, their holder, and the supervisor."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from programs.waiting import until
from tiffin.deploy.local.fronts import Fronts, Order, Seen
from tiffin.errors import ConflictError, UnavailableError

DEADLINE = 20.0
FRONT = """
import os, select, signal, socket, sys, time

stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
names = os.environ["LISTEN_FDNAMES"].split(":")
assert names[0] == "http" and names[-1] == "metrics"
public = [socket.socket(fileno=3 + place) for place in range(len(names) - 1)]
for one in public:
    one.setblocking(False)
while not stopped:
    ready = select.select(public, [], [], 0.01)[0]
    if stopped or not ready:
        continue
    try:
        client, _ = ready[0].accept()
    except BlockingIOError:
        continue
    client.sendall(b"%s of %d" % (sys.argv[1].encode(), os.getpid()))
    client.close()
time.sleep(float(sys.argv[2]))
"""


def order(word: str, patience: float = 0.0) -> Order:
    return Order(argv=(sys.executable, "-c", FRONT, word, str(patience)), env={}, stamp=word)


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


def pid_of(fronts: Fronts, word: str) -> int:
    def running() -> Seen | None:
        found = fronts.look()
        return found if found and found.pid and found.stamp == word else None

    until(running)
    found = fronts.look()
    assert found is not None
    return found.pid


def gone(pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([descriptor], [], [], DEADLINE)
    os.close(descriptor)


def test_a_front_that_is_killed_is_followed_by_another_and_nobody_is_refused(fronts: Fronts) -> None:
    port = hold(fronts)
    fronts.serve(order("one"))
    first = pid_of(fronts, "one")
    assert ask(port) == f"one of {first}"
    gone(first)
    assert ask(port).startswith("one of ")
    until(lambda: pid_of(fronts, "one") != first)


def test_a_front_of_another_order_finishes_and_is_followed_while_clients_wait(fronts: Fronts) -> None:
    port = hold(fronts)
    fronts.serve(order("one", patience=0.3))
    last = pid_of(fronts, "one")
    ask(port)  # it hears of signals now
    fronts.serve(order("two"))
    fronts.serve(order("two"))
    assert ask(port).startswith("two of ")
    assert pid_of(fronts, "two") != last
    before = pid_of(fronts, "two")
    fronts.serve(order("two"))
    assert pid_of(fronts, "two") == before


def test_one_socket_more_is_handed_to_the_next_front_and_kept_as_the_others_are(fronts: Fronts, tmp_path: Path) -> None:
    port = hold(fronts)
    fronts.serve(order("one"))
    ask(port)
    service = Fronts(tmp_path / "service")
    more = service.hold_besides("grpc", ("127.0.0.1", 0))
    service.close()
    with socket.create_connection(("127.0.0.1", more), timeout=DEADLINE) as waiting:
        fronts.serve(order("two"))
        assert waiting.recv(100).startswith(b"two of ")
    assert fronts.hold_besides("grpc", ("127.0.0.1", 1)) == more
    seen, holder = fronts.look(), fronts.pid()
    assert seen is not None
    assert seen.holder == holder
    gone(holder)
    until(lambda: hold(fronts) == port and fronts.pid() not in {0, holder})
    fronts.serve(order("two"))
    assert [ask(one).partition(" ")[0] for one in (more, port)] == ["two", "two"]


def test_a_supervisor_that_comes_later_is_given_the_sockets(fronts: Fronts, tmp_path: Path) -> None:
    port = hold(fronts)
    fronts.serve(order("one"))
    pid = pid_of(fronts, "one")
    later = Fronts(tmp_path / "service")
    assert hold(later, port=1) == port
    assert pid_of(later, "one") == pid
    later.end()


def test_a_holder_that_is_killed_leaves_the_socket_to_the_next(fronts: Fronts) -> None:
    port = hold(fronts)
    fronts.serve(order("one"))
    front = pid_of(fronts, "one")
    ask(port)  # it hears of signals now
    os.kill(fronts.pid(), signal.SIGKILL)
    until(lambda: not fronts.pid())
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as waiting:
        assert hold(fronts) == port
        fronts.serve(order("one"))
        assert waiting.recv(100).decode().startswith("one of ")
    assert pid_of(fronts, "one") != front


def test_a_front_that_does_not_start_is_tried_less_and_less_often(fronts: Fronts, tmp_path: Path) -> None:
    hold(fronts)
    fronts.serve(Order(argv=("/nothing/there",), env={}, stamp="none"))

    def ended() -> bool:
        found = fronts.look()
        return found is not None and found.ends >= 2

    until(ended)
    assert "no front" in (tmp_path / "service" / "front.log").read_text()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConflictError, match=f"cannot listen on 127.0.0.1:{port}"):
            hold(Fronts(tmp_path / "service"), port)


def test_without_a_holder_there_is_no_front(tmp_path: Path) -> None:
    fronts = Fronts(tmp_path / "service")
    assert fronts.look() is None
    assert fronts.told() is None
    fronts.tell()
    with pytest.raises(UnavailableError, match="nobody holds the sockets"):
        fronts.serve(order("one"))
