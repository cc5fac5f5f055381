"""A locked file, a full disk, clocks that are set, deployments at once: told, tried again, and it serves on."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path

import msgspec
import pytest

from programs.waiting import until
from tiffin.deploy.local import clock, journal
from tiffin.deploy.local.backoff import next_start
from tiffin.deploy.local.fronts import Fronts
from tiffin.deploy.local.journal import Journal
from tiffin.deploy.local.places import DATABASE, FOLDER
from tiffin.deploy.local.seen import Desired
from tiffin.deploy.local.state import Kept, Loss, State
from tiffin.deploy.local.table import read_table
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Rollout, Service, Template
from tiffin.deploy.target import Phase
from tiffin.errors import CommandError, ConflictError, TiffinError, UnavailableError
from tiffin.oci.digest import Digest
from unit.deploy.local.stage import DEADLINE, Play, names, other, served_by, service

HOUR = 3600.0
TEMPLATE = Template(image="iris", digest=Digest.of(b"iris"), ports={"http": 8080})


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(tmp_path / "deploy.sqlite")
    service = Service(name="iris", template=TEMPLATE)
    desired = Desired(revision=1, replicas=1, began=clock.now())
    state.keep(Kept(service=service, desired=desired, port=8080, token="secret"))  # noqa: S106 - of a test
    return state


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr("tiffin.deploy.local.state.BUSY_SECONDS", 0.01)


def loss(container: str, at: float) -> Loss:
    return Loss(container=container, revision=1, time=at, why="it ended with 3")


# --- the file


@pytest.mark.usefixtures("soon")
def test_while_the_file_is_locked_a_lost_replica_is_replaced_and_that_is_told(
    target: LocalTarget, play: Play, data: Path
) -> None:
    target.apply(service())
    other_one = sqlite3.connect(data / DATABASE, isolation_level=None)
    other_one.execute("BEGIN IMMEDIATE")
    (lost,) = names(play)
    play.engine.find(lost).kill()
    until(lambda: names(play) and lost not in names(play) and target.status("iris").ready == 1)
    assert any("is locked" in finding.message for finding in target.status("iris").findings)
    assert served_by(target.status("iris")) == "1"
    with pytest.raises(UnavailableError, match="is locked"):
        target.apply(other("b"))
    other_one.execute("ROLLBACK")
    other_one.close()
    until(lambda: target.status("iris").findings == ())
    assert "lost" in [event.kind for event in target.events("iris")], "it is written down later"
    assert served_by(target.apply(other("b"))) == "2"


@pytest.mark.usefixtures("soon")
def test_on_a_full_disk_what_happens_counts_and_is_written_when_there_is_room(state: State) -> None:
    (pages,) = state._database.execute("PRAGMA page_count").fetchone()
    state._database.execute(f"PRAGMA max_page_count = {pages}")
    book = Journal("iris", state)
    for number in range(400):
        book.note("test", "x" * 100, {"n": number})
    book.lose(loss("c1", clock.now()))
    assert any("no room" in trouble for trouble in book.troubles)
    assert [crash.revision for crash in book.crashes()] == [1], "backoff counts it"
    state._database.execute("PRAGMA max_page_count = 100000")
    due = time.monotonic() + DEADLINE
    while book.troubles:
        assert time.monotonic() < due
        book.flush()
    assert [event.numbers["n"] for event in state.events("iris") if event.kind == "test"] == list(range(400))
    assert [one.container for one in state.losses("iris")] == ["c1"]
    assert [crash.revision for crash in book.crashes()] == [1]


def test_a_revision_that_the_front_does_not_take_is_given_up_and_its_table_is_as_before(
    target: LocalTarget, data: Path
) -> None:
    target.apply(service())
    refused = msgspec.structs.replace(other("refused"), rollout=Rollout(progress_seconds=1.5))
    with pytest.raises(CommandError, match="no progress"):
        target.apply(refused)
    table = read_table(data / FOLDER / "iris")
    assert table is not None
    assert table.revisions.keys() == {"1"}
    until(lambda: target.status("iris").findings == ())
    assert any("it cannot be served" in event.message for event in target.events("iris") if event.kind == "trouble")
    assert served_by(target.status("iris")) == "1"


# --- clocks


def test_the_clock_goes_on_when_the_machines_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before = clock.now()
    started = time.time() - 10
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - HOUR)
    assert 0 <= clock.now() - before < DEADLINE
    assert abs(clock.now() - clock.since(started)) < DEADLINE, "what seems to lie ahead is now"
    monkeypatch.setattr(time, "time", lambda: real() + HOUR)
    assert 0 <= clock.now() - before < DEADLINE


def test_what_was_written_while_the_clock_was_ahead_holds_nobody_up(state: State) -> None:
    ahead = clock.now() + HOUR
    for number in range(4):
        state.lose("iris", loss(f"c{number}", ahead))
    kept = state.find("iris")
    state.keep(msgspec.structs.replace(kept, desired=msgspec.structs.replace(kept.desired, began=ahead)))
    state.come_to_now()
    assert state.find("iris").desired.began <= clock.now()
    assert next_start(1, [one.crash for one in state.losses("iris")]) <= clock.now() + 4


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_rollout_goes_on_when_the_machines_clock_is_set(
    target: LocalTarget, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    slow = service(rollout=Rollout(ready_seconds=0.3, progress_seconds=DEADLINE))
    target.apply(slow)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    again = msgspec.structs.replace(slow, template=other("b").template)
    assert served_by(target.apply(again)) == "2"
    assert target.status("iris").phase is Phase.AVAILABLE


def test_crashes_are_waited_for_no_longer_when_the_machines_clock_is_set_back(
    target: LocalTarget, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.apply(service())
    real = time.time
    for turn in range(3):
        if turn == 1:
            monkeypatch.setattr(time, "time", lambda: real() - HOUR)
        (lost,) = names(play)
        play.engine.find(lost).kill()
        until(lambda lost=lost: names(play) and lost not in names(play) and target.status("iris").ready == 1)


# --- at once


def test_of_deployments_at_once_the_last_one_wins_and_the_others_are_told(target: LocalTarget) -> None:
    target.apply(service())
    raised: dict[str, TiffinError] = {}
    won: list[str] = []

    def deploy(word: str) -> None:
        try:
            target.apply(other(word))
            won.append(word)
        except TiffinError as error:
            raised[word] = error

    threads = [threading.Thread(target=deploy, args=(word,)) for word in "bcde"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert len(won) >= 1
    assert {type(error) for error in raised.values()} <= {ConflictError}
    assert len(won) + len(raised) == 4, "nobody is told nothing"
    assert sorted(one.number for one in target.history("iris")) == [1, 2, 3, 4, 5], "none is lost"
    (serving,) = {one.number for one in target.history("iris") if one.ready}
    last = [event for event in target.events("iris") if event.kind == "apply"][-1]
    assert last.numbers["revision"] == serving


def test_what_two_want_at_once_is_both_there(state: State) -> None:
    """One changes the number, the other the revision, each from what it read before."""
    started = threading.Barrier(2)

    def change(field: str) -> None:
        started.wait(DEADLINE)
        for _ in range(200):
            state.change("iris", lambda kept: _more(kept, field))

    threads = [threading.Thread(target=change, args=(field,)) for field in ("replicas", "revision")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert (state.find("iris").desired.replicas, state.find("iris").desired.revision) == (201, 201)


def _more(kept: Kept, field: str) -> Kept:
    desired = msgspec.structs.replace(kept.desired, **{field: getattr(kept.desired, field) + 1})
    return msgspec.structs.replace(kept, desired=desired)


def test_a_front_that_dies_while_a_rollout_is_under_way_ends_no_replica(target: LocalTarget, data: Path) -> None:
    del data
    target.apply(service(replicas=2))
    before = {one.id for one in target._engine.list()}
    target.pause("iris")
    target.apply(other("b"))
    pid = _front(target)
    os.kill(pid, 9)
    until(lambda: target.status("iris").ready == 2 and _front(target) not in {0, pid})
    assert before <= {one.id for one in target._engine.list()}
    target.resume("iris")
    until(lambda: target.status("iris").phase is Phase.AVAILABLE)


def _front(target: LocalTarget) -> int:
    found = Fronts(target._socket.parent / "iris").look()
    return found.pid if found else 0
