"""A supervisor with containers in memory, asked as a target: what it keeps, refuses, and says."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tiffin.deploy.local.fronts import Fronts
from tiffin.deploy.local.places import FOLDER, LOCK
from tiffin.deploy.local.supervisor import Supervisor, alone
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Replicas, Rollout, Service, Template
from tiffin.deploy.target import (
    Action,
    CanCanary,
    CanGoBack,
    CanLog,
    CanPause,
    CanRestart,
    CanScale,
    Phase,
    Status,
)
from tiffin.engine.memory import MemoryEngine, Process
from tiffin.engine.plan import RunOptions
from tiffin.engine.spec import ContainerSpec, Engine
from tiffin.errors import CommandError, ConflictError, NotFoundError, TiffinError, UnavailableError, UnsupportedError
from tiffin.oci.digest import Digest

DEADLINE = 20.0
IMAGE = Digest.of(b"iris")
FRONT = Path(__file__).parent / "played_front.py"
QUICK = Rollout(progress_seconds=DEADLINE)


class Play:
    """A workshop whose replicas are played by threads, which say by files in their front's hall who is ready."""

    def __init__(self) -> None:
        self.engine: Engine = MemoryEngine({"worker": work})
        self.refused = ""

    def check(self, template: Template) -> None:
        if self.refused:
            raise NotFoundError(f"{template.reference} {self.refused}", "`tiffin pull` brings it")

    def spec(self, template: Template, options: RunOptions) -> ContainerSpec:
        return ContainerSpec(
            name=options.name,
            image=template.image,
            digest=template.digest,
            layers=(),
            argv=("worker",),
            env=options.env,
            mounts=options.mounts,
            labels=options.labels,
        )

    def documents(self, template: Template) -> Mapping[str, bytes]:
        del template
        return {"service.json": b"{}"}

    def front(self) -> tuple[tuple[str, ...], dict[str, str]]:
        return (sys.executable, str(FRONT)), {}


def work(process: Process) -> int:
    """Play a worker: of no use where the template says so."""
    broken = process.spec.env.get("BREAK", "")
    file = Path(process.spec.mounts[0].source) / process.spec.name
    process.out(f"hello from {process.spec.name}")
    if broken == "ends":
        process.err("no module x")
        return 3
    if broken == "fails":
        file.with_suffix(".failed").write_text("it failed its self-test")
    elif broken != "hangs":
        file.touch()
    process.stopping.wait(DEADLINE)
    file.unlink(missing_ok=True)
    return 0


def until(condition: Callable[[], object]) -> None:
    due = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < due, "gave up waiting"
        time.sleep(0.02)


@contextmanager
def supervised(data: Path, play: Play) -> Iterator[None]:
    """Have a supervisor in a thread; what it keeps goes on when it ends."""
    ready, ended = threading.Event(), threading.Event()
    stop: list[Callable[[], None]] = []

    async def keep() -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set) and None)
        await Supervisor(data, play, lambda _: ready.set()).keep(stopped)

    def run() -> None:
        asyncio.run(keep())
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(DEADLINE)
    try:
        yield
    finally:
        stop[0]()
        thread.join(DEADLINE)
        assert ended.is_set()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def play() -> Play:
    return Play()


@pytest.fixture
def target(data: Path, play: Play) -> Iterator[LocalTarget]:
    with supervised(data, play):
        target = LocalTarget(data, play.engine)
        yield target
        for status in target.list():
            target.delete(status.name)


def service(break_: str = "", replicas: int = 1, **more: object) -> Service:
    env = {"BREAK": break_} if break_ else {}
    template = Template(image="iris", digest=IMAGE, ports={"http": 0}, env=env)
    made = Service(name="iris", template=template, replicas=Replicas(least=replicas, most=replicas), rollout=QUICK)
    return msgspec.structs.replace(made, **more)


def other(word: str) -> Service:
    return service(template=msgspec.structs.replace(service().template, env={"WORD": word}))


def served_by(status: Status) -> str:
    port = int(status.addresses[0].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
        return client.recv(100).decode()


def names(play: Play) -> set[str]:
    return {container.spec.name for container in play.engine.list()}


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


def test_it_has_the_abilities_it_has_and_no_other(target: LocalTarget) -> None:
    for ability in (CanScale, CanGoBack, CanPause, CanRestart, CanLog):
        assert isinstance(target, ability)
    assert not isinstance(target, CanCanary)


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
    with pytest.raises(UnsupportedError, match="no image of tiffin's"):
        target.apply(service(template=foreign))
    assert [one.number for one in target.history("iris")] == [1]
    assert target.status("iris").phase is Phase.AVAILABLE


def test_services_that_want_the_same_port_get_one_each(target: LocalTarget) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    template = msgspec.structs.replace(service().template, ports={"http": port})
    statuses = [target.apply(service(name=name, template=template)) for name in ("one", "two")]
    assert statuses[0].addresses == (f"http://127.0.0.1:{port}",)
    assert statuses[1].addresses != statuses[0].addresses
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
        assert Fronts(data / FOLDER / "iris").look()[1].pid == front[1].pid
        assert target.status("iris").addresses == port
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
