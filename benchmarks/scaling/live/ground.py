"""A home with the images that are measured, and a supervisor of their services."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.memory import PROC, family, kilobytes
from benchmarks.tiffin import tiffin
from tiffin.api.machine.home import Home
from tiffin.api.services.up import this_machine
from tiffin.deploy.local.fronts import Fronts
from tiffin.deploy.local.places import FOLDER
from tiffin.deploy.local.replicas import SERVICE, seconds_of
from tiffin.deploy.local.table import ASLEEP
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Replicas, Resources, Service, Template
from tiffin.engine.spec import Container
from tiffin.oci.digest import Digest
from tiffin.traffic.address import Address, Question

from .words import COMPUTES, SLEEPS, TINY

PATIENCE = 120.0
STEP = 0.002
WORK = {
    SLEEPS: "time.sleep(0.010)",
    COMPUTES: "end = time.thread_time() + 0.010\n        while time.thread_time() < end:\n            pass",
    TINY: "pass",
}
PREDICTOR = """\
import time


class Works:
    inputs = {{"x": ("FP64", [-1])}}
    outputs = {{"y": ("FP64", [-1])}}

    def predict(self, inputs):
        {work}
        return {{"y": [2 * value for value in inputs["x"]]}}
"""
PROJECT = """\
name = "{name}"
[model]
predictor = "predict:Works"
[serve]
max-batch = 1
"""
BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}]}).encode()
ANSWER = [2.0]


def question(model: str) -> Question:
    """What a model is asked."""
    headers = {"Content-Type": "application/json"}
    return Question(path=f"/v2/models/{model}/infer", headers=headers, body=BODY)


def ask(port: int, model: str) -> float:
    """Ask once on a connection of its own; gives the seconds until the right answer; raises OSError, AssertionError."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", f"/v2/models/{model}/infer", BODY, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()
    assert answer.status == http.client.OK, f"{answer.status}: {body[:200]!r}"
    assert json.loads(body)["outputs"][0]["data"] == ANSWER, body
    return time.perf_counter() - began


def wait(condition: Callable[[], object]) -> None:
    """Wait for a condition; raises AssertionError."""
    due = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < due, "gave up waiting"
        time.sleep(STEP)


class Ground:
    """A home, what is in it, and its supervisor while `kept` runs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._digests = {model: self._build(model) for model in WORK}
        self.data = Home.of({"TIFFIN_HOME": str(home)}).data
        self.target: LocalTarget = this_machine(Home.of({"TIFFIN_HOME": str(home)}))
        self.supervisor = 0

    def _build(self, model: str) -> Digest:
        folder = self.home / "projects" / model
        folder.mkdir(parents=True)
        (folder / "predict.py").write_text(PREDICTOR.format(work=WORK[model]))
        (folder / "tiffin.toml").write_text(PROJECT.format(name=model))
        return Digest.parse(tiffin(self.home, "build", str(folder)).run().partition("@")[2])

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Have a supervisor, and let go of every service in the end."""
        command = tiffin(self.home, "up")
        with (self.home / "up.log").open("w") as log:
            process = subprocess.Popen(command.argv, env=dict(command.environment), stdout=log, stderr=log)
        self.supervisor = process.pid
        try:
            wait(lambda: "keeping" in (self.home / "up.log").read_text())
            yield
        finally:
            for status in self.target.list():
                self.target.delete(status.name)
            process.terminate()
            process.wait()

    def service(self, model: str, replicas: Replicas, name: str = "") -> int:
        """Have a service, and say at which port."""
        template = Template(
            image=model,
            digest=self._digests[model],
            ports={"http": 0},
            resources=Resources(cpus=0.0, memory=0),
            drain_seconds=0.2,
        )
        status = self.target.apply(Service(name=name or model, template=template, replicas=replicas))
        return int(status.addresses[0].rpartition(":")[2])

    @contextmanager
    def alone(self, model: str) -> Iterator[int]:
        """Have a container by `tiffin run`, without a service."""
        tiffin(self.home, "run", "--detach", "--name", f"alone-{model}", "--publish", "0", model).run()
        try:
            rows = json.loads(tiffin(self.home, "ps", "--json").run())
            ports = next(row["ports"] for row in rows if row["name"] == f"alone-{model}")
            yield int(ports.partition("->")[0].rpartition(":")[2])
        finally:
            tiffin(self.home, "rm", "--force", f"alone-{model}").run()

    def replicas(self, name: str = "") -> list[Container]:
        """The containers of a service, or of all."""
        found = self.target._engine.list()  # noqa: SLF001 - what is measured is looked at from inside
        return [one for one in found if not name or one.spec.labels.get(SERVICE) == name]

    def kill(self, name: str) -> None:
        """Kill what runs in a service's replicas, as the kernel would."""
        for one in self.replicas(name):
            for pid in family([one.state().pid]):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def holder(self, name: str) -> int:
        """The process that holds a service's socket."""
        return Fronts(self.data / FOLDER / name).pid()

    def slumbers(self, name: str) -> bool:
        """Whether a service's front says that its revision sleeps, and nobody is ready."""
        told = Fronts(self.data / FOLDER / name).told()
        return told is not None and all(lane.state == ASLEEP and not lane.ready for lane in told.revisions.values())

    def load_seconds(self, name: str) -> float:
        """From the start of a service's only replica until it was ready, as its front and its engine say."""
        told = Fronts(self.data / FOLDER / name).told()
        assert told
        ready = [moment for lane in told.revisions.values() for moment in lane.ready.values()]
        (replica,) = self.replicas(name)
        return ready[0] - started(replica)


def started(container: Container) -> float:
    """When a container was started, in seconds since 1970."""
    return seconds_of(container.state().started)


def pss(*pids: int) -> float:
    """Megabytes of processes and all they have started, shared pages counted once."""
    total = 0
    for pid in family(list(pids)):
        with suppress(OSError):
            total += kilobytes(PROC / str(pid) / "smaps_rollup", "Pss")
    return total * 1024 / 1_000_000


def alone_pss(pid: int) -> float:
    """Megabytes of one process."""
    return kilobytes(PROC / str(pid) / "smaps_rollup", "Pss") * 1024 / 1_000_000


def computed(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def address(port: int) -> Address:
    """Where a service answers."""
    return Address(host="127.0.0.1", port=port)
