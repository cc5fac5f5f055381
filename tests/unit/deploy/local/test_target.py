"""A supervisor with containers in memory, asked as a target: what it keeps, refuses, and says."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import msgspec
import pytest

from programs.waiting import until
from tiffin.deploy.local import booth
from tiffin.deploy.local.fronts import Fronts
from tiffin.deploy.local.places import FOLDER, LOCK
from tiffin.deploy.local.supervisor import alone
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Rollout
from tiffin.deploy.target import (
    Action,
    CanCanary,
    CanExplain,
    CanGoBack,
    CanLog,
    CanPause,
    CanRestart,
    CanScale,
    Phase,
    Status,
)
from tiffin.errors import CommandError, ConflictError, NotFoundError, TiffinError, UnavailableError
from unit.deploy.local.stage import DEADLINE, Play, names, other, served_by, service, supervised


def test_a_service_is_planned_kept_and_deleted(target: LocalTarget, play: Play) -> None:
    (change,) = target.plan(service(replicas=2))
    assert (change.action, change.what) == (Action.CREATE, "service iris")
    assert target.list() == []
    status = target.apply(service(replicas=2))
    assert (status.phase, status.ready, status.wanted) == (Phase.AVAILABLE, 2, 2)
    assert [(one.number, one.replicas, one.weight) for one in status.revisions] == [(1, 2, 100.0)]
    assert served_by(status) == "1"
    assert target.plan(service(replicas=2))[0].action is Action.KEEP
    assert target.plan(service(replicas=3))[0].details == ("replicas: 2 -> 3",)
    target.delete("iris")
    assert names(play) == set()
    with pytest.raises(NotFoundError, match="no service is called iris"):
        target.status("iris")


def test_a_service_that_is_deleted_comes_again_at_once(target: LocalTarget, play: Play) -> None:
    for word in "abc":
        assert served_by(target.apply(other(word))) == "1"
        target.delete("iris")
        assert names(play) == set()


def test_it_has_every_ability(target: LocalTarget) -> None:
    for ability in (CanScale, CanGoBack, CanCanary, CanPause, CanRestart, CanLog, CanExplain):
        assert isinstance(target, ability)


def test_another_template_takes_the_place_and_can_be_left_again(target: LocalTarget) -> None:
    target.apply(service())
    assert served_by(target.apply(other("b"))) == "2"
    status = target.rollback("iris")
    assert served_by(status) == "1"
    assert [one.number for one in target.history("iris") if one.ready] == [1]
    assert served_by(target.rollback("iris", 2)) == "2"
    with pytest.raises(NotFoundError, match="no revision 9"):
        target.rollback("iris", 9)
    assert served_by(target.restart("iris")) == "3"


def test_scaling_by_hand_makes_no_revision(target: LocalTarget, play: Play) -> None:
    target.apply(service())
    target.scale("iris", 3, 3)
    until(lambda: target.status("iris").ready == 3)
    target.scale("iris", 1, 1)
    until(lambda: len(names(play)) == 1)
    assert [one.number for one in target.history("iris")] == [1]


@pytest.mark.parametrize(
    ("kind", "words"),
    [("ends", "it ended with 3"), ("fails", "it failed its self-test")],
)
def test_a_revision_that_is_of_no_use_is_given_up_and_the_old_one_serves(
    target: LocalTarget, kind: str, words: str
) -> None:
    target.apply(service())
    with pytest.raises(CommandError, match="revision 2 does not come up") as told:
        target.apply(service(kind))
    assert words in told.value.message
    assert "back to revision 1" in told.value.message
    until(lambda: target.status("iris").phase is Phase.AVAILABLE)
    assert served_by(target.status("iris")) == "1"


def test_a_first_revision_that_is_of_no_use_is_told_and_tried_again(target: LocalTarget) -> None:
    with pytest.raises(CommandError, match="no module x"):
        target.apply(service("ends"))
    status = target.status("iris")
    assert status.phase is Phase.FAILED
    assert "lost" in status.findings[0].message
    assert served_by(target.apply(service())) == "2"


def test_a_rollout_that_makes_no_progress_is_given_up(target: LocalTarget) -> None:
    target.apply(service())
    with pytest.raises(CommandError, match=r"no progress for 0\.5 seconds"):
        target.apply(service("hangs", rollout=Rollout(progress_seconds=0.5)))


def test_a_paused_rollout_waits(target: LocalTarget) -> None:
    target.apply(service())
    target.pause("iris")
    assert target.apply(other("b")).phase is Phase.PAUSED
    assert served_by(target.status("iris")) == "1"
    target.resume("iris")
    until(lambda: target.status("iris").phase is Phase.AVAILABLE)
    assert served_by(target.status("iris")) == "2"


def test_who_is_overtaken_by_another_deployment_is_told(target: LocalTarget) -> None:
    target.apply(service())
    raised: list[TiffinError] = []

    def deploy() -> None:
        try:
            target.apply(service("hangs"))
        except TiffinError as error:
            raised.append(error)

    thread = threading.Thread(target=deploy)
    thread.start()
    until(lambda: target.status("iris").phase is Phase.PROGRESSING)
    assert served_by(target.apply(other("b"))) == "3"
    thread.join(DEADLINE)
    assert [type(error) for error in raised] == [ConflictError]
    assert "somebody else" in raised[0].message


def test_what_cannot_be_is_refused_and_changes_nothing(target: LocalTarget, play: Play) -> None:
    target.apply(service())
    play.refused = "is not on this machine"
    with pytest.raises(NotFoundError, match="is not on this machine"):
        target.apply(other("b"))
    foreign = msgspec.structs.replace(service().template, inherits=False)
    with pytest.raises(ConflictError, match="a service of another kind"):
        target.apply(service(template=foreign))
    assert [one.number for one in target.history("iris")] == [1]
    assert target.status("iris").phase is Phase.AVAILABLE


def test_services_that_want_the_same_port_get_one_each(target: LocalTarget) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    template = msgspec.structs.replace(service().template, ports={"http": port})
    statuses = [target.apply(service(name=name, template=template)) for name in ("one", "two")]
    assert statuses[0].addresses[0] == f"http://127.0.0.1:{port}"
    assert statuses[1].addresses[0] != statuses[0].addresses[0]
    named = [status.addresses[1].removeprefix("http://").split(":") for status in statuses]
    assert [found for _, found in named] == [str(port)] * 2, "at its own address each has the port of its image"
    assert named[0][0] != named[1][0]
    assert [served_by(status) for status in statuses] == ["1", "1"]


def test_a_lost_replica_is_replaced_and_noted(target: LocalTarget, play: Play) -> None:
    target.apply(service())
    (lost,) = names(play)
    play.engine.find(lost).kill()
    until(lambda: names(play) and lost not in names(play) and target.status("iris").ready == 1)
    assert "lost" in [event.kind for event in target.events("iris")]


def test_the_next_supervisor_finds_replicas_and_keeps_them(data: Path, play: Play) -> None:
    target = LocalTarget(data, play.engine)
    with supervised(data, play):
        port = target.apply(service(replicas=2)).addresses
        before, front = names(play), Fronts(data / FOLDER / "iris").look()
    assert served_by(Status(name="", phase=Phase.AVAILABLE, wanted=1, ready=1, addresses=port)) == "1"
    with supervised(data, play):
        until(lambda: target.status("iris").ready == 2)
        assert names(play) == before
        assert Fronts(data / FOLDER / "iris").look().pid == front.pid
        assert target.status("iris").addresses == port
        target.delete("iris")


def test_after_an_upgrade_the_front_finishes_and_is_followed_by_one_of_the_new_tiffin(
    data: Path, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = LocalTarget(data, play.engine)
    with supervised(data, play):
        status = target.apply(service(replicas=2))
        before, front = names(play), Fronts(data / FOLDER / "iris").look()
    assert front is not None
    monkeypatch.setattr(booth, "__version__", "99.0")
    with supervised(data, play):
        until(lambda: (found := Fronts(data / FOLDER / "iris").look()) and found.pid and found.stamp != front.stamp)
        assert served_by(status) == "1"
        until(lambda: target.status("iris").ready == 2)
        assert names(play) == before
        target.delete("iris")


def test_what_is_left_of_a_state_that_was_lost_is_replaced(data: Path, play: Play) -> None:
    target = LocalTarget(data, play.engine)
    with supervised(data, play):
        target.apply(service())
        before = names(play)
    for file in data.glob("deploy.sqlite*"):
        file.unlink()
    with supervised(data, play):
        assert target.list() == []
        assert names(play) == before
        status = target.apply(other("b"))
        assert served_by(status) == "1"
        until(lambda: len(names(play)) == 1)
        assert names(play).isdisjoint(before)
        target.delete("iris")


def test_a_second_supervisor_is_refused_by_the_first_ones_process(tmp_path: Path) -> None:
    with alone(tmp_path / LOCK), pytest.raises(ConflictError, match=r"process \d+"), alone(tmp_path / LOCK):
        pass


def test_where_no_supervisor_runs_that_is_said(data: Path, play: Play) -> None:
    with pytest.raises(UnavailableError, match="no supervisor runs") as told:
        LocalTarget(data, play.engine).list()
    assert told.value.hint == "`tiffin up` starts one, in the foreground"


def test_logs_are_of_every_replica_by_name(target: LocalTarget, play: Play) -> None:
    target.apply(service(replicas=2))
    assert {name: line.text for name, line in target.logs("iris")} == {
        name: f"hello from {name}" for name in names(play)
    }
    follow = target.logs("iris", follow=True)
    assert {next(follow)[0], next(follow)[0]} == names(play)
    with pytest.raises(NotFoundError):
        list(target.logs("other"))


def test_events_can_be_waited_for(target: LocalTarget) -> None:
    target.apply(service())
    events = target.events("iris")
    assert [event.kind for event in events] == ["apply", "open", "start", "available"]
    threading.Timer(0.05, lambda: target.scale("iris", 2, 2)).start()
    (event, *_) = target.events("iris", after=events[-1].id, wait=DEADLINE)
    assert (event.kind, event.numbers) == ("scale", {"from": 1, "to": 2})
