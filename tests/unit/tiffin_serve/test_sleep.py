"""A revision that is asleep: its children have gone or its process is stopped, and the first request wakes it."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from unit.tiffin_serve.fronts import DEADLINE, children_of, wait_for
from unit.tiffin_serve.routed import Answer, Place, kill, read_answer


def is_stopped(worker: subprocess.Popen[bytes]) -> bool:
    return Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def become(place: Place, number: int, state: str) -> Answer:
    place.table["revisions"][str(number)]["state"] = state
    return place.tell()


@pytest.fixture
def forking(place: Place) -> subprocess.Popen[bytes]:
    place.revision(3)
    place.begin()
    worker = place.work(3)
    place.ready(3)
    return worker


@pytest.fixture
def spawned(place: Place) -> subprocess.Popen[bytes]:
    place.revision(3)
    place.begin()
    worker = place.work(3, THREAD="1")
    place.ready(3)
    return worker


def test_children_are_let_go_and_the_first_request_has_one_again(
    place: Place, forking: subprocess.Popen[bytes]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as pokes:
        pokes.bind(str(place.folder / "poke.sock"))
        pokes.settimeout(DEADLINE)
        place.table["poke"] = "poke.sock"
        assert children_of(forking.pid)
        told = become(place, 3, "asleep").body["revisions"]["3"]
        assert (told["state"], told["ready"], told["warm"]) == ("asleep", {}, ["one-3"])
        wait_for(lambda: not children_of(forking.pid), "the children are gone")
        assert place.ask("GET", "/v2/health/ready").status == 200
        assert pokes.recv(100) == b"iris"
        assert place.ask().says == 3
        assert pokes.recv(100) == b"iris"
    assert place.said(3)["state"] == "awake"
    assert become(place, 3, "asleep").body["revisions"]["3"]["state"] == "awake", "until it is said otherwise between"
    assert become(place, 3, "open").body["revisions"]["3"]["state"] == "open"
    assert become(place, 3, "asleep").body["revisions"]["3"]["state"] == "asleep"
    assert place.ask().says == 3
    assert 'tiffin_worker_restarts_total{model="iris",reason="crash",revision="3"} 0' in (
        place.admin("GET", "/metrics").body.decode()
    )
    assert "started again" not in place.log
    assert forking.poll() is None


def test_one_that_cannot_fork_is_stopped_and_goes_on(place: Place, spawned: subprocess.Popen[bytes]) -> None:
    told = become(place, 3, "asleep").body["revisions"]["3"]
    assert (told["state"], told["ready"], told["warm"]) == ("asleep", {}, ["one-3"])
    wait_for(lambda: is_stopped(spawned), "stopped")
    assert place.ask().says == 3
    assert not is_stopped(spawned)
    assert (place.said(3)["state"], list(place.said(3)["ready"])) == ("awake", ["one-3"])


def test_one_that_is_stopped_hears_the_front_after_one_that_was_killed(
    place: Place, spawned: subprocess.Popen[bytes]
) -> None:
    become(place, 3, "asleep")
    wait_for(lambda: is_stopped(spawned), "stopped")
    port = place.port
    assert place.front is not None
    kill(place.front)
    place.begin(port)
    wait_for(lambda: place.said(3)["warm"] == ["one-3"] and is_stopped(spawned), "asleep again")
    assert place.ask().says == 3


@pytest.mark.parametrize("state", ["closing", "open"])
def test_one_that_was_stopped_goes_on_when_it_is_not_to_sleep(
    place: Place, spawned: subprocess.Popen[bytes], state: str
) -> None:
    become(place, 3, "asleep")
    wait_for(lambda: is_stopped(spawned), "stopped")
    become(place, 3, state)
    wait_for(lambda: not is_stopped(spawned), "it goes on")


def test_a_front_that_ends_leaves_nobody_stopped(place: Place, spawned: subprocess.Popen[bytes]) -> None:
    become(place, 3, "asleep")
    wait_for(lambda: is_stopped(spawned), "stopped")
    assert place.front is not None
    place.front.send_signal(signal.SIGTERM)
    assert place.front.wait(DEADLINE) == 0
    wait_for(lambda: not is_stopped(spawned), "it goes on")


def test_whoever_has_something_to_do_is_not_let_go(place: Place, forking: subprocess.Popen[bytes]) -> None:
    (place.folder / "busy-3").touch()
    with place.connect() as client:
        wait_for(lambda: place.said(3)["in_flight"] == 1, "there")
        assert become(place, 3, "asleep").body["revisions"]["3"]["state"] == "awake"
        (place.folder / "busy-3").unlink()
        assert read_answer(client).says == 3
    assert children_of(forking.pid)


def test_one_that_comes_to_a_revision_that_sleeps_is_there_when_it_is_asked(place: Place) -> None:
    place.revision(3, state="asleep")
    place.begin()
    place.work(3)
    wait_for(lambda: place.said(3)["warm"], "there")
    told = place.said(3)
    assert (told["state"], told["ready"]) == ("asleep", {})
    assert place.ask().says == 3


def test_a_child_that_dies_after_it_was_woken_is_had_again(place: Place, forking: subprocess.Popen[bytes]) -> None:
    become(place, 3, "asleep")
    assert place.ask().says == 3
    (child,) = children_of(forking.pid)
    subprocess.run(["kill", "-9", str(child)], check=True)
    wait_for(lambda: [pid for pid in children_of(forking.pid) if pid != child], "another")
    assert place.ask().says == 3
