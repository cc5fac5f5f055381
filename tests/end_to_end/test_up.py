"""Services of this machine with real containers, under load: nothing fails but what is in flight in a killed front."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from end_to_end.small import Downloads, environment, tiffin
from tiffin.api.home import Home
from tiffin.api.up import this_machine
from tiffin.deploy.local.fronts import Fronts
from tiffin.deploy.local.places import FOLDER
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Replicas, Resources, Rollout, Service, Template
from tiffin.deploy.target import Phase
from tiffin.engine.spec import Status
from tiffin.errors import CommandError
from tiffin.oci.digest import Digest

DEADLINE = 60.0
PREDICTOR = """\
import os


class Doubles:
    inputs = {"x": ("FP64", [-1])}
    outputs = {"y": ("FP64", [-1])}

    def predict(self, inputs):
        factor = 3 if os.environ.get("BREAK") else 2
        return {"y": [factor * value for value in inputs["x"]]}
"""
PROJECT = """\
name = "doubles"
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
REQUEST = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]}]}
EXPECT = {"outputs": [{"name": "y", "datatype": "FP64", "shape": [2], "data": [2.0, 4.0]}]}


def until(condition: Callable[[], object]) -> None:
    due = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < due, "gave up waiting"
        time.sleep(0.05)


class Load:
    """Clients that ask one request after the other, on connections that are kept and renewed."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[object] = Counter()
        self._port, self._ending = port, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    @contextmanager
    def on(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            until(lambda: self.answers[200] > 50)
            yield
            enough = self.answers[200] + 50
            until(lambda: self.answers[200] > enough)
        finally:
            self._ending.set()
            for thread in self._threads:
                thread.join(DEADLINE)

    @property
    def failed(self) -> dict[object, int]:
        return {answer: count for answer, count in self.answers.items() if answer != 200}

    def _ask(self) -> None:
        while not self._ending.is_set():
            client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
            try:
                for _ in range(20):
                    client.request("POST", "/v2/models/doubles/infer", json.dumps(REQUEST))
                    answer = client.getresponse()
                    answer.read()
                    self.answers[answer.status] += 1
                    if answer.will_close or self._ending.is_set():
                        break
            except (OSError, http.client.HTTPException) as error:
                self.answers[type(error).__name__] += 1
            finally:
                client.close()


class Machine:
    """A home with the image, and its supervisor."""

    def __init__(self, home: Path, folder: Path, digest: str) -> None:
        self.home, self.folder, self._digest = home, folder, digest
        self.data = Home.of({"TIFFIN_HOME": str(home)}).data
        self.process = self.supervise()

    def supervise(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tiffin", "up"], env=environment(self.home), stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr
        assert "keeping" in self.process.stderr.readline()
        return self.process

    def kill_supervisor(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr
        self.process.stderr.close()

    def service(self, word: str = "", break_: str = "") -> Service:
        env = {name: value for name, value in {"WORD": word, "BREAK": break_}.items() if value}
        template = Template(
            image="doubles",
            digest=Digest.parse(self._digest),
            ports={"http": 0},
            env=env,
            resources=Resources(cpus=0, memory=0),
            drain_seconds=0.3,
        )
        rollout = Rollout(progress_seconds=DEADLINE)
        return Service(name="doubles", template=template, replicas=Replicas(least=2, most=2), rollout=rollout)


@pytest.fixture(scope="module")
def machine(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("doubles")
    (folder / "predict.py").write_text(PREDICTOR)
    (folder / "tiffin.toml").write_text(PROJECT)
    (folder / "request.json").write_text(json.dumps(REQUEST))
    (folder / "expect.json").write_text(json.dumps(EXPECT))
    home = downloads.copy(folder / "home")
    shutil.copy(downloads.lock, folder)
    machine = Machine(home, folder, tiffin(home, "build", folder).partition("@")[2])
    yield machine
    machine.kill_supervisor()


@pytest.fixture
def target(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalTarget]:
    """The service with two replicas that are ready."""
    monkeypatch.setenv("TIFFIN_HOME", str(machine.home))
    target = this_machine(Home.of())
    target.apply(machine.service())
    yield target
    target.delete("doubles")
    assert not target._engine.list()


def load_on(target: LocalTarget) -> Load:
    return Load(int(target.status("doubles").addresses[0].rpartition(":")[2]))


def available(target: LocalTarget) -> bool:
    status = target.status("doubles")
    return status.phase is Phase.AVAILABLE and status.ready == 2


def test_updates_and_rollbacks_fail_no_request(machine: Machine, target: LocalTarget) -> None:
    load = load_on(target)
    with load.on():
        assert target.apply(machine.service("other")).revisions[0].ready == 2
        assert [one.ready for one in target.rollback("doubles").revisions] == [0, 2]
        target.scale("doubles", 1, 1)
        until(lambda: target.status("doubles").ready == 1)
        target.scale("doubles", 2, 2)
        until(lambda: available(target))
    assert load.failed == {}


def test_a_revision_that_fails_its_check_never_answers(machine: Machine, target: LocalTarget) -> None:
    load = load_on(target)
    with load.on(), pytest.raises(CommandError, match="answered wrongly") as told:
        target.apply(machine.service(break_="yes"))
    assert "back to revision" in told.value.message
    until(lambda: available(target))
    assert load.failed == {}


def test_a_killed_replica_is_replaced_and_fails_no_request(target: LocalTarget) -> None:
    load = load_on(target)
    with load.on():
        lost = next(one for one in target._engine.list() if one.state().status is Status.RUNNING)
        lost.kill()
        until(lambda: available(target) and lost.id not in {one.id for one in target._engine.list()})
    assert load.failed == {}


def test_a_killed_front_fails_what_is_in_flight_and_refuses_nobody(machine: Machine, target: LocalTarget) -> None:
    load, fronts = load_on(target), Fronts(machine.data / FOLDER / "doubles")
    before = {one.id for one in target._engine.list()}
    with load.on():
        ((_, front),) = fronts.look().items()
        os.kill(front.pid, signal.SIGKILL)
        until(lambda: available(target) and all(one.pid not in {0, front.pid} for one in fronts.look().values()))
    assert sum(load.failed.values()) <= 4, load.failed
    assert "ConnectionRefusedError" not in load.failed
    assert {one.id for one in target._engine.list()} == before, "workers connect to the next front"


def test_a_killed_supervisor_and_a_killed_holder_fail_no_request(machine: Machine, target: LocalTarget) -> None:
    load, fronts = load_on(target), Fronts(machine.data / FOLDER / "doubles")
    before = {one.id for one in target._engine.list()}
    with load.on():
        machine.kill_supervisor()
        machine.supervise()
        until(lambda: available(target))
        assert {one.id for one in target._engine.list()} == before, "they are found again, and not started anew"
        first = fronts.pid()
        os.kill(first, signal.SIGKILL)
        until(lambda: fronts.pid() not in {0, first} and available(target))
    assert load.failed == {}


def test_a_second_supervisor_is_refused(machine: Machine) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "tiffin", "up"],
        env=environment(machine.home),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert second.returncode == 6
    assert f"process {machine.process.pid}" in second.stderr


def test_events_are_printed_with_their_numbers(machine: Machine, target: LocalTarget) -> None:
    target.scale("doubles", 1, 1)
    lines = tiffin(machine.home, "events", "doubles", "--json").splitlines()
    scaled = [event for line in lines if (event := msgspec.json.decode(line))["kind"] == "scale"]
    assert scaled[-1]["numbers"] == {"from": 2, "to": 1}
    assert "1 replicas are wanted" in tiffin(machine.home, "events", "doubles")


def test_a_folder_is_deployed_asked_by_name_and_let_go(machine: Machine) -> None:
    address = tiffin(machine.home, "deploy", machine.folder, "--to", "local")
    assert address.startswith("http://127.0.0.1:")
    assert "4.0" in tiffin(machine.home, "predict", "doubles", '[{"x": 2.0}]')
    assert address in tiffin(machine.home, "status")
    assert tiffin(machine.home, "delete", "doubles") == "doubles"
    assert tiffin(machine.home, "ps", "-a").count("\n") == 0
