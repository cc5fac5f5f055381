"""A supervisor on a stage: containers in memory, workers that are played by threads, and a front that is played."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tiffin.deploy.local.exporter import Address
from tiffin.deploy.local.supervisor import Supervisor
from tiffin.deploy.service import Replicas, Rollout, Service, Template
from tiffin.deploy.target import Status
from tiffin.engine.memory import MemoryEngine, Process
from tiffin.engine.plan import RunOptions
from tiffin.engine.spec import ContainerSpec, Engine
from tiffin.errors import NotFoundError
from tiffin.oci.digest import Digest

DEADLINE = 20.0
IMAGE = Digest.of(b"iris")
FRONT = Path(__file__).parent / "played_front.py"
QUICK = Rollout(progress_seconds=DEADLINE)


class Play:
    """A workshop whose replicas are played by threads, which say by files in their front's hall who is ready."""

    def __init__(self) -> None:
        self.engine: Engine = MemoryEngine({"worker": work})
        self.refused, self.usual = "", "memory"
        self.others: dict[str, Engine] = {"other": MemoryEngine({"worker": work})}

    def engine_called(self, name: str) -> Engine:
        return self.others[name] if name else self.engine

    def engines(self) -> Sequence[Engine]:
        return [self.engine, *self.others.values()]

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
        return {"service.json": template.env.get("WORD", "{}").encode()}

    def front(self) -> tuple[tuple[str, ...], dict[str, str]]:
        return (sys.executable, str(FRONT)), {}

    relay = front


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


@contextmanager
def supervised(data: Path, play: Play, metrics: Address | None = None) -> Iterator[None]:
    """Have a supervisor in a thread; what it keeps goes on when it ends."""
    ready, ended = threading.Event(), threading.Event()
    stop: list[Callable[[], None]] = []

    async def keep() -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set) and None)
        await Supervisor(data, play, lambda _: ready.set(), metrics=metrics).keep(stopped)

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


def service(break_: str = "", replicas: int = 1, replicas_: Replicas | None = None, **more: object) -> Service:
    env = {"BREAK": break_} if break_ else {}
    template = Template(image="iris", digest=IMAGE, ports={"http": 0}, env=env)
    made = Service(
        name="iris", template=template, replicas=replicas_ or Replicas(least=replicas, most=replicas), rollout=QUICK
    )
    return msgspec.structs.replace(made, **more)


def other(word: str) -> Service:
    return service(template=msgspec.structs.replace(service().template, env={"WORD": word}))


@contextmanager
def held(status: Status, count: int = 1) -> Iterator[list[str]]:
    """Have so many requests in the front, for as long as this lasts; gives who has them."""
    port = int(status.addresses[0].rpartition(":")[2])
    clients = [socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) for _ in range(count)]
    try:
        for client in clients:
            client.sendall(b"hold")
        yield [client.recv(100).decode() for client in clients]
    finally:
        for client in clients:
            client.close()


def served_by(status: Status) -> str:
    port = int(status.addresses[0].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
        return client.recv(100).decode()


def names(play: Play) -> set[str]:
    return {container.spec.name for container in play.engine.list()}
