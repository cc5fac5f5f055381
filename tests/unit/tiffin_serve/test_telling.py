"""What a front of several revisions tells: metrics of each, drift of one, and a poke when something has changed."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from unit.tiffin_serve.fronts import DEADLINE, wait_for
from unit.tiffin_serve.routed import Place, kill


@pytest.fixture
def pokes(place: Place) -> Iterator[socket.socket]:
    """Where the place's front pokes at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(place.folder / "poke.sock"))
        bound.settimeout(DEADLINE)
        place.table["poke"] = "poke.sock"
        yield bound


def drain(pokes: socket.socket) -> None:
    """Hear what was said until now."""
    pokes.setblocking(False)
    try:
        while pokes.recv(100):
            pass
    except BlockingIOError:
        pokes.settimeout(DEADLINE)


def test_every_family_is_there_once_with_samples_of_each_revision(place: Place) -> None:
    place.revision(3, weight=75)
    place.revision(4, weight=25)
    place.begin()
    place.work(3)
    place.work(4)
    place.ready(3, 4)
    for number in ("3", "3", "4"):
        assert place.ask(tiffin_revision=number).says == int(number)
    text = place.admin("GET", "/metrics").body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert text.count("# TYPE tiffin_requests") == 1
    counted = {
        (sample.labels["revision"], sample.labels["version"]): sample.value
        for sample in families["tiffin_requests"].samples
        if sample.labels["protocol"] == "predict"
    }
    assert counted == {("3", "3"): 2, ("4", "4"): 1}
    assert {sample.labels["revision"] for sample in families["tiffin_model_ready"].samples} == {"3", "4"}
    assert [sample.value for sample in families["tiffin_parked_requests"].samples] == [0]
    assert [sample.labels for sample in families["process_open_fds"].samples] == [{}]


def test_drift_is_told_of_one_revision(place: Place) -> None:
    place.revision(3)
    place.revision(4, weight=0)
    place.begin()
    assert place.admin("GET", "/drift").status == 200
    assert place.admin("GET", "/drift?revision=4").status == 200
    refused = place.admin("GET", "/drift?revision=5")
    assert (refused.status, refused.body) == (404, {"error": "there is no revision '5'; there is 3, 4"})
    assert place.admin("GET", "/elsewhere").status == 404
    assert place.admin("DELETE", "/table").status == 405


def test_it_pokes_when_workers_come_fail_and_go_and_when_the_first_request_waits(
    place: Place, pokes: socket.socket
) -> None:
    place.revision(3)
    place.begin()
    with place.connect():
        assert pokes.recv(100) == b"iris"
    wait_for(lambda: place.admin("GET", "/table").body["waiting"] == 0, "gone")
    drain(pokes)
    broken = place.work(3, BREAK="1")
    assert pokes.recv(100) == b"iris"
    broken.wait(DEADLINE)
    drain(pokes)
    worker = place.work(3)
    assert pokes.recv(100) == b"iris"
    assert place.said(3)["ready"]
    drain(pokes)
    kill(worker)
    assert pokes.recv(100) == b"iris"
    wait_for(lambda: not place.said(3)["ready"], "gone")


def test_it_pokes_when_a_closing_revision_has_closed(place: Place, pokes: socket.socket) -> None:
    place.revision(3)
    place.begin()
    place.work(3)
    place.ready(3)
    (place.folder / "busy-3").touch()
    with place.connect():
        wait_for(lambda: place.said(3)["in_flight"] == 1, "there")
        place.table["revisions"]["3"]["state"] = "closing"
        assert place.tell().body["revisions"]["3"]["state"] == "closing"
        drain(pokes)
        (place.folder / "busy-3").unlink()
        assert pokes.recv(100) == b"iris"
        assert place.said(3)["state"] == "closed"


def test_with_samples_it_pokes_while_there_are_requests(place: Place, pokes: socket.socket) -> None:
    place.revision(3)
    place.table["samples"] = True
    place.begin()
    place.work(3)
    place.ready(3)
    drain(pokes)
    assert place.ask().says == 3
    assert pokes.recv(100) == b"iris"


def test_nobody_need_listen(place: Place) -> None:
    place.revision(3)
    place.table["poke"] = "nowhere/poke.sock"
    place.begin()
    place.work(3)
    assert place.ask().says == 3
