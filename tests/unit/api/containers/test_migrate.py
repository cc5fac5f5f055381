"""Moving a container between two engines in memory: a failure leaves the old one serving, a kill is carried on."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from programs.waiting import until
from tiffin.api.containers import mover
from tiffin.api.containers.migrate import Options, move
from tiffin.api.containers.mover import Mover, Side
from tiffin.api.machine.home import Home
from tiffin.engine.memory import MemoryEngine, Process
from tiffin.engine.moving import Act
from tiffin.engine.spec import Container, ContainerSpec, Mount, Port, Status
from tiffin.errors import CommandError, ConflictError, NotFoundError, UnavailableError, UnsupportedError
from tiffin.oci.documents import LAYER_GZIP, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.progress import Event, Noted, listening

NAME = Options(name="iris")
CACHE = Mount(source="cache", target="/cache", volume=True, read_only=False)
KILLED = Act.LOAD, Act.CREATE, Act.STOP, Act.DISCARD, Act.COPY, Act.START, Act.READY, Act.REMOVE, Act.FORGET


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


def serve(process: Process) -> int:
    process.stopping.wait()
    return 0


def fail(process: Process) -> int:
    process.out("no such GPU")
    return 4


class Pair:
    """Two engines and the image that both may load; `there` is what programs do on the second."""

    def __init__(self, folder: Path, there: Callable[[Process], int] = serve) -> None:
        self.home = Home(data=folder / "data", cache=folder / "cache")
        layer = Descriptor.of(b"layer", LAYER_GZIP)
        config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[layer.digest]))
        self.image = Image.make(config, [layer], {})
        self.home.store.put(layer, io.BytesIO(b"layer"))
        self.image.write(self.home.store)
        self.home.store.tag("iris:latest", self.image.descriptor)
        self.here, self.there = MemoryEngine({"serve": serve}), MemoryEngine({"serve": there})
        self.here.load(self.home.store, self.image)

    def start(self, **more: Any) -> Container:
        digest, layers = self.image.descriptor.digest, tuple(self.image.config.rootfs.diff_ids)
        spec = ContainerSpec(name="iris", image="iris", digest=digest, layers=layers, argv=("serve",), **more)
        container = self.here.create(spec)
        container.start()
        if spec.mounts:
            self.here.import_volume("cache", io.BytesIO(b"kept"), (0, 0))
        return container

    def move(self, options: Options = NAME) -> str:
        sides = Side(name="here", engine=self.here), Side(name="there", engine=self.there)
        return move(options, *sides, self.home)

    def journals(self) -> list[str]:
        return [path.name for path in (self.home.data / "migrations").glob("*.json")]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "SETTLED_SECONDS", 0.05)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def kept(engine: MemoryEngine) -> bytes:
    paper = io.BytesIO()
    engine.export_volume("cache", paper, (0, 0))
    return paper.getvalue()


def test_a_container_goes_on_there_with_the_same_spec_and_is_gone_here(pair: Pair) -> None:
    old = pair.start(ports=(Port(container_port=8080),), env={"A": "b"})
    assert pair.move().startswith("127.0.0.1:"), "of which nobody knows what it speaks"
    new = pair.there.find("iris")
    assert (new.spec, new.state().status) == (old.spec, Status.RUNNING)
    assert pair.here.list() == []
    assert pair.journals() == []


def test_its_volume_moves_along(pair: Pair) -> None:
    pair.start(mounts=(CACHE,))
    notes: list[Event] = []
    with listening(notes.append):
        assert pair.move() == "iris"
    assert kept(pair.there) == b"kept"
    assert pair.here.volumes() == []
    said = [event.message for event in notes if isinstance(event, Noted)]
    assert said[0].startswith("iris stops on here before it runs on there: what one writes to its volume cache")
    assert said[1].startswith("nobody served for 0.")


@pytest.mark.parametrize("more", [{}, {"mounts": (CACHE,)}, {"ports": (Port(container_port=8080, host_port=8080),)}])
def test_a_program_that_fails_there_leaves_the_old_one_serving(tmp_path: Path, more: dict[str, Any]) -> None:
    pair = Pair(tmp_path, fail)
    old = pair.start(**more)
    with pytest.raises(CommandError, match=r"iris exited 4 before it was ready\n +no such GPU"):
        pair.move()
    assert old.state().status is Status.RUNNING
    assert (pair.there.list(), pair.there.volumes(), pair.journals()) == ([], [], [])
    if more.get("mounts"):
        assert kept(pair.here) == b"kept"


def test_a_container_that_is_never_ready_there_is_given_up(pair: Pair) -> None:
    old = pair.start(ports=(Port(container_port=8080, socket="http"),))
    with pytest.raises(UnavailableError, match=r"iris was not ready on there within 0\.1 s"):
        pair.move(Options(name="iris", seconds=0.1))
    assert old.state().status is Status.RUNNING
    assert pair.there.list() == []


@pytest.mark.parametrize("act", KILLED)
@pytest.mark.parametrize("more", [{}, {"mounts": (CACHE,)}, {"ports": (Port(container_port=8080, host_port=8080),)}])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_move_that_is_killed_at_any_step_is_carried_on_by_the_next(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, act: Act, more: dict[str, Any], when: str
) -> None:
    old = pair.start(**more)
    do = Mover._do
    with monkeypatch.context() as dying:

        def kill(self: Mover, *steps: Any) -> None:
            for step in steps:
                if when == "after" or step.act is not act:
                    do(self, step)
                if step.act is act:
                    raise Killed

        dying.setattr(Mover, "_do", kill)
        dying.setattr(Mover, "_undo", lambda _: (_ for _ in ()).throw(Killed))
        try:
            pair.move()
        except Killed:
            assert pair.journals() == ["iris.json"]
    if pair.journals():
        pair.move()
    assert pair.there.find("iris").spec == old.spec
    assert pair.there.find("iris").state().status is Status.RUNNING
    assert (pair.here.list(), pair.here.volumes(), pair.journals()) == ([], [], [])
    assert not more.get("mounts") or kept(pair.there) == b"kept"


def test_one_that_is_carried_on_and_not_ready_stays_as_it_is(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        free = found.getsockname()[1]
    old = pair.start(ports=(Port(container_port=8080, host_port=free, socket="http"),))
    with monkeypatch.context() as dying:
        dying.setattr(Mover, "_ready", lambda _: (_ for _ in ()).throw(Killed))
        dying.setattr(Mover, "_undo", lambda _: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            pair.move()
    with pytest.raises(UnavailableError, match="was not ready"):
        pair.move(Options(name="iris", seconds=0.1))
    assert (old.state().status, pair.there.find("iris").state().status) == (Status.EXITED, Status.RUNNING)
    assert pair.journals() == ["iris.json"]


def test_what_is_there_already_is_not_touched(pair: Pair) -> None:
    old = pair.start(mounts=(CACHE,))
    pair.there.import_volume("cache", io.BytesIO(b"other"), (0, 0))
    with pytest.raises(ConflictError, match="volume 'cache' is there already"):
        pair.move()
    assert kept(pair.there) == b"other"
    pair.there.remove_volume("cache")
    pair.there.load(pair.home.store, pair.image)
    other = pair.there.create(old.spec)
    with pytest.raises(ConflictError, match="another container is called 'iris'"):
        pair.move()
    assert pair.there.list() == [other]
    assert old.state().status is Status.RUNNING


def test_one_that_drains_serves_until_its_port_takes_no_more_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = Port(host_port=listener.getsockname()[1], container_port=8080)
        with mover.last_served((port,)) as last:
            began = last[-1]
            until(lambda: last[-1] > began)
            listener.close()
            ended = time.monotonic()
            until(lambda: time.monotonic() > ended + 0.1)
        assert began < last[-1] < ended + 0.1
    with mover.last_served(()) as last:
        assert last[-1] <= time.monotonic()


class Picky(MemoryEngine):
    """An engine that has no networks, and must not be given an image for nothing."""

    def refuse(self, spec: ContainerSpec) -> None:
        raise UnsupportedError(f"{spec.name} wants a network", "leave `--network` out")

    def load(self, store: Store, image: Image) -> None:
        raise AssertionError(store, image)


def test_what_the_other_engine_cannot_do_is_refused_before_anything_moves(pair: Pair) -> None:
    old = pair.start()
    pair.there = Picky({"serve": serve})
    with pytest.raises(UnsupportedError, match="iris wants a network"):
        pair.move()
    assert old.state().status is Status.RUNNING
    assert pair.journals() == []


def test_it_may_be_called_by_its_id(pair: Pair) -> None:
    old = pair.start()
    assert pair.move(Options(name=old.id)) == "iris"
    with pytest.raises(NotFoundError, match="no container called"):
        pair.move(Options(name="../iris"))
    assert not (pair.home.data / "iris.lock").exists()


def test_one_that_is_nowhere_or_there_already_is_said_to_be(pair: Pair) -> None:
    with pytest.raises(NotFoundError, match="here has no container called 'iris'"):
        pair.move()
    pair.start()
    pair.move()
    with pytest.raises(NotFoundError, match="iris is there's already"):
        pair.move()


def test_a_move_that_was_begun_is_not_crossed_by_another(pair: Pair) -> None:
    pair.start()
    (pair.home.data / "migrations").mkdir()
    identity = pair.here.find("iris").id
    path = pair.home.data / "migrations/iris.json"
    path.write_text(f'{{"id":"{identity}","source":"here","target":"elsewhere"}}')
    with pytest.raises(ConflictError, match="a move of iris to elsewhere was begun") as raised:
        pair.move()
    assert raised.value.hint == "carry it on first: `tiffin migrate iris --engine here --to elsewhere`"
