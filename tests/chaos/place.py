"""A home with an image, its supervisor, and what is there in truth: processes and containers, beside what is told."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from chaos import mortal
from end_to_end.small import Downloads, environment, tiffin
from programs.client import Client
from programs.waiting import until
from tiffin.api.machine.engines import choosing, open_engine
from tiffin.api.machine.home import Home
from tiffin.api.services.up import this_machine
from tiffin.deploy.local.fronts import Fronts
from tiffin.deploy.local.places import FOLDER
from tiffin.deploy.local.replicas import REVISION, SERVICE
from tiffin.deploy.local.services import Applied
from tiffin.deploy.local.state import Event
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Replicas, Resources, Rollout, Service, Template, revision_of
from tiffin.deploy.target import Phase, Status
from tiffin.engine.spec import Container, Engine
from tiffin.engine.spec import Status as Running
from tiffin.errors import TiffinError, UnavailableError
from tiffin.oci.digest import Digest

T = TypeVar("T")
NAME = "doubles"
PATH = f"/v2/models/{NAME}/infer"
DEADLINE = 120.0
"""Seconds after which whoever waits gives up; nothing is measured by it."""
STEP = 0.05
PREDICTOR = """\
import os

if os.environ.get("WORD") == "broken":
    raise RuntimeError("this revision cannot be loaded")


class Doubles:
    inputs = {"x": ("FP64", [-1])}
    outputs = {"y": ("FP64", [-1])}

    def predict(self, inputs):
        return {"y": [2 * value for value in inputs["x"]]}
"""
REQUEST = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]}]}
EXPECT = {"outputs": [{"name": "y", "datatype": "FP64", "shape": [2], "data": [2.0, 4.0]}]}
PROJECT = f"""\
name = "{NAME}"
[model]
predictor = "predict:Doubles"
[python]
dependencies = ["six==1.17.0"]
[image]
bytecode = false
[serve]
drain-seconds = 0.3
[[check]]
request = "request.json"
expect = "expect.json"
"""


def prepare(downloads: Downloads, folder: Path) -> tuple[Path, str]:
    """Build the image in a home of its own, and say where it is and what it is called."""
    write(folder, downloads)
    home = downloads.copy(folder / "home")
    return home, tiffin(home, "build", folder).partition("@")[2]


def write(folder: Path, downloads: Downloads) -> None:
    """Write the project."""
    (folder / "predict.py").write_text(PREDICTOR)
    (folder / "tiffin.toml").write_text(PROJECT)
    (folder / "request.json").write_text(json.dumps(REQUEST))
    (folder / "expect.json").write_text(json.dumps(EXPECT))
    shutil.copy(downloads.lock, folder)


class Place:
    """One home and whoever supervises it; nothing here believes the supervisor where it can look itself."""

    def __init__(self, home: Path, digest: str, docker: Client | None = None) -> None:
        """Look after a home; with a `docker` its services can be moved there."""
        self.home, self._digest = home, digest
        self._own = dict(docker.environment) if docker else {}
        self.data = Home.of({"TIFFIN_HOME": str(home)}).data
        with _environment({"TIFFIN_HOME": str(home), **self._own}):
            self.target: LocalTarget = this_machine(Home.of())
            self._engines: list[Engine] = [self.target._engine]
            with choosing("docker" if docker else "embedded"):
                self._docker = open_engine(Home.of()) if docker else None
        self._process: subprocess.Popen[bytes] | None = None

    # --- the supervisor

    def supervise(self) -> None:
        """Have a supervisor that answers."""
        self._process = self._start("-m", "tiffin", "up")
        self.ask(self.target.list)

    def supervise_for(self, steps: int) -> None:
        """Have a supervisor that dies at its Nth step."""
        self._process = self._start(mortal.__file__, str(steps))

    def kill_supervisor(self) -> None:
        """End it without a warning."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def supervised(self) -> bool:
        """Whether the supervisor lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What supervisors have said."""
        return (self.home / "up.log").read_text(errors="replace")

    def ask(self, question: Callable[[], T]) -> T:
        """Ask the supervisor, again and again while nobody answers."""
        due = time.monotonic() + DEADLINE
        while True:
            try:
                return question()
            except UnavailableError:
                assert time.monotonic() < due, f"nobody answers:\n{self.log[-3000:]}"
                time.sleep(STEP)

    def _start(self, *argv: str) -> subprocess.Popen[bytes]:
        with (self.home / "up.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *argv],
                env=environment(self.home, **self._own),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    # --- the service

    def service(self, word: str, replicas: int, *, name: str = NAME) -> Service:
        """The service in one of its revisions, which differ by a word."""
        template = Template(
            image=NAME,
            digest=Digest.parse(self._digest),
            ports={"http": 0},
            env={"WORD": word},
            resources=Resources(cpus=0.0, memory=0),
            drain_seconds=0.3,
        )
        rollout = Rollout(progress_seconds=DEADLINE, history=100)
        return Service(name=name, template=template, replicas=Replicas(least=replicas, most=replicas), rollout=rollout)

    def begin(self, path: str, body: object) -> None:
        """Ask for a change, and do not wait until it is there."""
        self.target._ask("POST", path, Applied, body)

    @property
    def moves(self) -> bool:
        """Whether a service can be moved to docker and back."""
        return self._docker is not None and hasattr(self.target, "move")

    def move(self, service: Service) -> Service:
        """Have the other engine run a service, and wait for nothing; gives how it is wanted then."""
        if self._docker and self._docker not in self._engines:
            self._engines.append(self._docker)
        there = "" if service.template.engine else "docker"
        self.ask(lambda: self.begin(f"/services/{service.name}/move", {"engine": there or "embedded"}))
        template = msgspec.structs.replace(service.template, engine=there)
        return msgspec.structs.replace(service, template=template)

    def given_up(self, after: int) -> list[Event]:
        """The rollouts that were given up after an event."""
        return [one for one in self.ask(lambda: self.target.events(NAME, after=after)) if one.kind == "given-up"]

    def available(self) -> bool:
        """Whether the supervisor says that all is there as it wants it."""
        return self.ask(lambda: self.target.status(NAME)).phase is Phase.AVAILABLE

    def story(self) -> str:
        """What was decided lately, and what supervisors have said."""
        with contextlib.suppress(TiffinError):
            events = self.target.events(NAME, last=30)
            lines = [f"{one.time:.2f} {one.kind}: {one.message}" for one in events]
            return "\n".join([*lines, self.log[-3000:]])
        return self.log[-3000:]

    def port(self) -> int:
        """Where the service answers."""
        return int(self.ask(lambda: self.target.status(NAME)).addresses[0].rpartition(":")[2])

    def astray(self, wanted: Service) -> str:
        """Say in what the service differs from what is wanted, in words and in truth; nothing where it does not."""
        try:
            status = self.target.status(wanted.name)
        except TiffinError as error:
            return str(error)
        said = _said_of(status, wanted)
        if said:
            return said
        number = next(one.number for one in status.revisions if one.digest == revision_of(wanted.template))
        labels = sorted(one.spec.labels[REVISION] for one in self.replicas(wanted.name))
        if labels != [str(number)] * wanted.replicas.least:
            return f"containers of revisions {labels}, and {wanted.replicas.least} of {number} are wanted"
        fronts = self.fronts(wanted.name)
        return "" if len(fronts) == 1 else f"{len(fronts)} fronts"

    # --- what is there

    def replicas(self, name: str = NAME) -> list[Container]:
        """The service's containers that run, or are about to, or remain."""
        return [one for engine in self._engines for one in engine.list() if one.spec.labels.get(SERVICE) == name]

    def running(self, name: str = NAME) -> list[Container]:
        """Those that run."""
        found = []
        for one in self.replicas(name):
            with contextlib.suppress(TiffinError):
                if one.state().status is Running.RUNNING:
                    found.append(one)
        return found

    def holder(self, name: str = NAME) -> int:
        """The process that holds the service's socket; 0 where there is none."""
        return Fronts(self.data / FOLDER / name).pid()

    def fronts(self, name: str = NAME) -> list[int]:
        """The processes that the holder has started."""
        return children(self.holder(name))

    def kill_front(self) -> tuple[float, float]:
        """Kill the front, and wait until there is another; gives when it was killed, and when it had died."""
        until(self.fronts)
        (pid, *_) = self.fronts()
        descriptor = os.pidfd_open(pid)
        began = time.monotonic()
        signal_all([pid], signal.SIGKILL)
        _await_end(descriptor)
        died = time.monotonic()
        until(lambda: set(self.fronts()) - {pid}, self.story)
        return began, died

    def end(self) -> None:
        """Let go of the service, and of the supervisor; nothing of either may be left."""
        if not self.supervised:
            self.supervise()
        self.ask(lambda: self.target.delete(NAME))
        assert not self.replicas()
        assert not self.holder()
        self.kill_supervisor()


def children(pid: int) -> list[int]:
    """The processes that one has started and not yet buried."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """A process and all that came of it."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to processes; who is gone is gone, and who is another user's is left alone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _said_of(status: Status, wanted: Service) -> str:
    digest = revision_of(wanted.template)
    others = [one.number for one in status.revisions if one.digest != digest and (one.replicas or one.ready)]
    if others:
        return f"there are replicas of revisions {others}"
    if status.phase is not Phase.AVAILABLE or status.ready != wanted.replicas.least or status.ready != status.wanted:
        return f"it is {status.phase.value} with {status.ready} of {status.wanted}, {wanted.replicas.least} are wanted"
    ready = [one.ready for one in status.revisions if one.digest == digest]
    return "" if ready == [wanted.replicas.least] else f"of the wanted revision {ready} are ready"


def _await_end(descriptor: int) -> None:

    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(1000 * DEADLINE), "it did not end"
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
