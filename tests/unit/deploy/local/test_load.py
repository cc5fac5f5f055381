"""The number of replicas follows the load, to nothing and back; every decision is there with its numbers."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import msgspec
import pytest

from programs.waiting import until
from tiffin.deploy.autoscale import Policy
from tiffin.deploy.local import scaler, scaling
from tiffin.deploy.local.places import FOLDER, POKE
from tiffin.deploy.local.state import Event
from tiffin.deploy.local.table import read_table
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Replicas, Service
from tiffin.deploy.target import Phase
from unit.deploy.local.stage import Play, held, names, other, served_by, service, supervised


def ranged(least: int, most: int, *, idle: float = 60.0, warm: bool = False) -> Replicas:
    return Replicas(least=least, most=most, concurrency=2, idle_seconds=idle, warm=warm)


def sleeper(*, warm: bool = False) -> Service:
    return service(replicas_=ranged(0, 4, idle=0.3, warm=warm))


def scalings(target: LocalTarget) -> list[Event]:
    return [event for event in target.events("iris") if event.kind == "scaled"]


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of half a second."""

    def policy_of(replicas: Replicas, start_seconds: float) -> Policy:
        made = scaling.policy_of(replicas, start_seconds)
        return msgspec.structs.replace(made, stable_seconds=0.5, panic_seconds=0.1)

    monkeypatch.setattr(scaler, "policy_of", policy_of)


def test_load_brings_replicas_and_every_decision_says_what_made_it(target: LocalTarget) -> None:
    status = target.apply(service(replicas_=ranged(1, 4)))
    assert (status.wanted, status.phase) == (1, Phase.AVAILABLE)
    with held(status, 8):
        until(lambda: target.status("iris").ready == 4)
    last = scalings(target)[-1]
    assert last.numbers["to"] == 4
    assert {"from", "ready", "waiting", "stable", "panic", "backlog", "panics", "start_seconds"} <= last.numbers.keys()
    decision = next(one for one in reversed(target.explain("iris")) if one.what.endswith("-> 4"))
    assert "requests at once in a minute" in decision.why
    assert decision.numbers == last.numbers
    assert target.explain("iris")[0].why == "somebody asked for it"


@pytest.mark.usefixtures("brief")
def test_without_load_they_go_again_to_the_fewest(target: LocalTarget, play: Play) -> None:
    status = target.apply(service(replicas_=ranged(1, 4)))
    with held(status, 8):
        until(lambda: target.status("iris").ready == 4)
    until(lambda: target.status("iris").wanted == 1 and len(names(play)) == 1)
    assert target.status("iris").phase is Phase.AVAILABLE


@pytest.mark.usefixtures("brief")
def test_the_last_one_goes_and_a_request_brings_one_back_and_is_answered(target: LocalTarget, play: Play) -> None:
    status = target.apply(sleeper())
    until(lambda: target.status("iris").wanted == 0 and not names(play))
    asleep = target.status("iris")
    assert (asleep.phase, asleep.ready) == (Phase.AVAILABLE, 0)
    assert "it sleeps, without a replica" in asleep.findings[0].message
    assert served_by(status) == "1"
    assert [(event.numbers["from"], event.numbers["to"]) for event in scalings(target)][:2] == [(1, 0), (0, 1)]
    assert scalings(target)[1].numbers["waiting"] == 1


@pytest.mark.usefixtures("brief")
def test_a_warm_one_stays_and_sleeps_and_a_request_wakes_it(target: LocalTarget, play: Play, data: Path) -> None:
    status = target.apply(sleeper(warm=True))
    until(lambda: _state(data) == "asleep" and target.status("iris").ready == 0)
    before = names(play)
    assert len(before) == 1
    asleep = target.status("iris")
    assert (asleep.phase, asleep.wanted, asleep.ready) == (Phase.AVAILABLE, 0, 0)
    assert "with its model loaded" in asleep.findings[0].message
    with held(status) as who:
        assert who == ["1"]
        until(lambda: _state(data) == "open" and target.status("iris").ready == 1)
    assert names(play) == before
    until(lambda: _state(data) == "asleep")
    assert {"sleep", "wake"} <= {event.kind for event in target.events("iris")}


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("warm", [False, True])
def test_a_service_that_sleeps_is_deployed_scaled_and_let_go(target: LocalTarget, play: Play, *, warm: bool) -> None:
    target.apply(sleeper(warm=warm))
    until(lambda: target.status("iris").wanted == 0)
    again = msgspec.structs.replace(sleeper(warm=warm), template=other("b").template)
    status = target.apply(again)
    assert status.phase is Phase.AVAILABLE
    assert "available" in [event.kind for event in target.events("iris")][-8:]
    assert served_by(status) == "2"
    until(lambda: target.status("iris").wanted == 0)
    target.scale("iris", 2, 2)
    until(lambda: target.status("iris").ready == 2)
    target.scale("iris", 0, 4)
    until(lambda: target.status("iris").wanted == 0)
    target.delete("iris")
    assert names(play) == set()


@pytest.mark.usefixtures("brief")
def test_a_bad_revision_of_a_service_that_sleeps_is_found_out(target: LocalTarget) -> None:
    target.apply(sleeper())
    until(lambda: target.status("iris").wanted == 0)
    broken = msgspec.structs.replace(sleeper(), template=service("fails").template)
    with pytest.raises(Exception, match="back to revision 1"):
        target.apply(broken)
    assert served_by(target.status("iris")) == "1"


def test_a_supervisor_that_comes_back_lets_nobody_go_that_it_knows_no_load_of(data: Path, play: Play) -> None:
    target = LocalTarget(data, play.engine)
    with supervised(data, play):
        status = target.apply(service(replicas_=ranged(1, 4)))
        with held(status, 8):
            until(lambda: target.status("iris").ready == 4)
    before = names(play)
    with supervised(data, play):
        until(lambda: target.status("iris").ready == 4)
        served_by(status)
        until(lambda: len(target.events("iris")) > 0)
        assert names(play) == before
        assert target.status("iris").wanted == 4
        target.delete("iris")


@pytest.mark.usefixtures("brief")
def test_what_sleeps_goes_on_sleeping_when_the_supervisor_comes_back(data: Path, play: Play) -> None:
    target = LocalTarget(data, play.engine)
    with supervised(data, play):
        status = target.apply(sleeper())
        until(lambda: target.status("iris").wanted == 0 and not names(play))
        last = target.events("iris")[-1].id
    with supervised(data, play):
        target.apply(service(name="other"))
        assert [event.kind for event in target.events("iris", after=last)] == []
        assert served_by(status) == "1"
        for name in ("iris", "other"):
            target.delete(name)


def test_the_number_follows_the_load_while_a_rollout_is_held(target: LocalTarget) -> None:
    status = target.apply(service(replicas_=ranged(1, 4)))
    target.pause("iris")
    target.apply(msgspec.structs.replace(service(replicas_=ranged(1, 4)), template=other("b").template))
    with held(status, 8):
        until(lambda: target.status("iris").ready == 4)
    assert target.status("iris").phase is Phase.PAUSED


def test_names_that_nobody_knows_and_a_flood_of_pokes_change_nothing(target: LocalTarget, data: Path) -> None:
    target.apply(service())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        for word in [b"nobody", b"", b"\xff" * 200, *[b"iris"] * 5000]:
            out.sendto(word, str(data / FOLDER / POKE))
    assert target.status("iris").ready == 1
    threading.Timer(0.05, lambda: target.scale("iris", 2, 2)).start()
    until(lambda: target.status("iris").ready == 2)


def _state(data: Path) -> str:
    table = read_table(data / FOLDER / "iris")
    return table.revisions["1"].state if table else ""
