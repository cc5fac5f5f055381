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
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import msgspec
import pytest

from end_to_end.small import Downloads, environment, tiffin
from end_to_end.supervised import Supervised
from programs.waiting import until
from tiffin.api.machine.home import Home
from tiffin.api.services.up import this_machine
from tiffin.deploy.local.fronts import Fronts, Local
from tiffin.deploy.local.places import FOLDER, SOCKET
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Replicas, Resources, Rollout, Service, Template
from tiffin.deploy.target import Phase
from tiffin.engine.spec import Status
from tiffin.errors import CommandError
from tiffin.oci.digest import Digest
from unit.tiffin_serve.rpcs import client, refusal, request, typed

DEADLINE = 60.0
HANGS, EATS = 666.0, 777.0
PREDICTOR = """\
import os
import time

HANGS, EATS = 666.0, 777.0


class Doubles:
    inputs = {"x": ("FP64", [-1])}
    outputs = {"y": ("FP64", [-1])}

    def predict(self, inputs):
        time.sleep(float(os.environ.get("SLOW", "0")))
        if inputs["x"][0] == HANGS:
            time.sleep(1000)
        if inputs["x"][0] == EATS:
            self.eaten = b"x" * (1 << 30)
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
deadline-ms = 8000
[[check]]
request = "request.json"
expect = "expect.json"
"""
REQUEST = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]}]}
EXPECT = {"outputs": [{"name": "y", "datatype": "FP64", "shape": [2], "data": [2.0, 4.0]}]}


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


class Machine(Supervised):
    """A home with the image, and its supervisor."""

    def __init__(self, home: Path, folder: Path, digest: str) -> None:
        super().__init__(home)
        self.folder, self._digest = folder, digest
        self.data = Home.of({"TIFFIN_HOME": str(home)}).data
        self.supervise()

    def service(self, word: str = "", break_: str = "", **more: object) -> Service:
        env = {name: value for name, value in {"WORD": word, "BREAK": break_}.items() if value}
        template = Template(
            image="doubles",
            digest=Digest.parse(self._digest),
            ports={"http": 0},
            env=env,
            resources=Resources(cpus=0, memory=256 << 20),
            drain_seconds=0.3,
        )
        rollout = Rollout(progress_seconds=DEADLINE)
        service = Service(name="doubles", template=template, replicas=Replicas(least=2, most=2), rollout=rollout)
        return msgspec.structs.replace(service, **more)


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
    load, before = load_on(target), target.events("doubles")[-1].id
    with load.on():
        assert target.apply(machine.service("other")).revisions[0].ready == 2
        assert [one.ready for one in target.rollback("doubles").revisions] == [0, 2]
        target.scale("doubles", 1, 1)
        until(lambda: target.status("doubles").ready == 1)
        target.scale("doubles", 2, 2)
        until(lambda: available(target))
    assert load.failed == {}
    assert _reasons(target, before) == set(), "nobody crashed who was told to go"


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
        front = fronts.look()
        assert front is not None
        os.kill(front.pid, signal.SIGKILL)
        until(lambda: available(target) and _front(fronts) not in {0, front.pid})
    assert sum(load.failed.values()) <= 4, load.failed
    assert "ConnectionRefusedError" not in load.failed
    assert {one.id for one in target._engine.list()} == before, "workers connect to the next front"


def _front(fronts: Fronts) -> int:
    found = fronts.look()
    return found.pid if found else 0


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


class RpcLoad:
    """A client that asks by gRPC, one request after the other on one channel."""

    def __init__(self, port: int) -> None:
        self.answered, self.lost = 0, list[str]()
        self._port, self._ending = port, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    @contextmanager
    def on(self) -> Iterator[None]:
        self._thread.start()
        try:
            until(lambda: self.answered > 20 or self.lost)
            yield
            enough = self.answered + 20
            until(lambda: self.answered > enough or self.lost)
        finally:
            self._ending.set()
            self._thread.join(DEADLINE)

    def _ask(self) -> None:
        asked = request(typed("x", "FP64", [2], "fp64_contents", [1.0, 2.0]), model_name="doubles")
        with client(self._port) as made:
            while not self._ending.is_set():
                try:
                    answer = made.ask("ModelInfer", asked)
                except grpc.RpcError as error:
                    self.lost.append(str(refusal(error)))
                    return
                assert list(answer.outputs[0].contents.fp64_contents) == [2.0, 4.0]
                self.answered += 1


def test_a_revision_that_answers_grpc_follows_one_that_does_not_and_is_followed(
    machine: Machine, target: LocalTarget
) -> None:
    assert not any(one.startswith("grpc://") for one in target.status("doubles").addresses)
    (machine.folder / "tiffin.toml").write_text(PROJECT.replace("[serve]", "[serve]\ngrpc = true"))
    digest = Digest.parse(tiffin(machine.home, "build", machine.folder).partition("@")[2])
    ports = {"http": 0, "grpc": 0}

    def answering(word: str) -> Service:
        service = machine.service(word)
        return msgspec.structs.replace(
            service, template=msgspec.structs.replace(service.template, digest=digest, ports=ports)
        )

    load = load_on(target)
    with load.on():
        status = target.apply(answering("rpc"))
        (address,) = [one for one in status.addresses if one.startswith("grpc://127.0.0.1:")]
        calls = RpcLoad(int(address.rpartition(":")[2]))
        with calls.on():
            target.apply(answering("other"))
            machine.kill_supervisor()
            machine.supervise()
            until(lambda: available(target))
            assert address in target.status("doubles").addresses
            target.rollback("doubles")
    assert (calls.lost, load.failed) == ([], {})


def ask(target: LocalTarget, value: float = 1.0, name: str = "doubles") -> tuple[int, str]:
    """Ask one thing; gives the status and the revision that answered, where there are several."""
    port = int(target.status(name).addresses[0].rpartition(":")[2])
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [value]}
    client.request("POST", "/v2/models/doubles/infer", json.dumps({"inputs": [tensor]}))
    answer = client.getresponse()
    answer.read()
    client.close()
    return answer.status, answer.getheader("tiffin-revision", "")


def test_a_canary_has_its_share_of_requests_and_fails_none(machine: Machine, target: LocalTarget) -> None:
    load = load_on(target)
    with load.on():
        first = target.status("doubles").revisions[0].number
        status = target.canary(machine.service("canary"), 20.0)
        canary = status.revisions[0].number
        assert {one.number: one.weight for one in status.revisions if one.weight} == {first: 80.0, canary: 20.0}
        seen = Counter(ask(target)[1] for _ in range(200))
        assert seen.keys() == {str(first), str(canary)}
        assert 10 <= seen[str(canary)] <= 80, seen
        promoted = target.promote("doubles")
        assert [one.number for one in promoted.revisions if one.ready] == [canary]
        target.canary(machine.service("another"), 20.0)
        assert [one.number for one in target.rollback("doubles").revisions if one.ready] == [canary]
    assert load.failed == {}


def test_a_canary_that_answers_later_is_taken_back_by_itself(machine: Machine, target: LocalTarget) -> None:
    slow = msgspec.structs.replace(machine.service().template, env={"SLOW": "0.1"})
    load = load_on(target)
    with load.on():
        first, canary = (one.number for one in reversed(target.canary(machine.service(template=slow), 50.0).revisions))
        until(lambda: [one.number for one in target.status("doubles").revisions if one.ready] == [first])
    assert load.failed == {}
    given_up = [event for event in target.events("doubles") if event.kind == "given-up"][-1]
    assert f"the p99 of revision {canary} is" in given_up.message


def test_load_brings_replicas_and_fails_no_request(machine: Machine, target: LocalTarget) -> None:
    slow = msgspec.structs.replace(machine.service().template, env={"SLOW": "0.05"})
    target.apply(machine.service(template=slow, replicas=Replicas(least=1, most=3, concurrency=1)))
    load = load_on(target)
    with load.on():
        until(lambda: target.status("doubles").ready == 3)
    assert load.failed == {}
    assert any(one.what.endswith("-> 3") for one in target.explain("doubles"))
    assert "requests at once" in tiffin(machine.home, "status", "doubles", "--explain")


@pytest.mark.parametrize("warm", [False, True])
def test_a_service_goes_to_sleep_and_answers_whoever_wakes_it(
    machine: Machine, target: LocalTarget, *, warm: bool
) -> None:
    target.scale("doubles", 1, 1)
    target.apply(machine.service(replicas=Replicas(least=0, most=2, idle_seconds=1.0, warm=warm)))
    for _ in range(2):
        until(lambda: target.status("doubles").wanted == 0 and target.status("doubles").ready == 0)
        until(lambda: len(target._engine.list()) == int(warm))
        assert target.status("doubles").phase is Phase.AVAILABLE
        assert ask(target)[0] == http.HTTPStatus.OK
        until(lambda: target.status("doubles").ready == 1)


def test_a_request_that_hangs_or_eats_all_memory_fails_alone(target: LocalTarget) -> None:
    before = target.events("doubles")[-1].id
    for value, reason in ((HANGS, "deadline"), (EATS, "memory")):
        until(lambda value=value, reason=reason: _fails(target, value) and reason in _reasons(target, before))
        until(lambda: available(target))
        assert [ask(target)[0] for _ in range(10)] == [http.HTTPStatus.OK] * 10


def _fails(target: LocalTarget, value: float) -> bool:
    """Ask what no worker lives through; on a busy machine even that may take longer than the request may."""
    return ask(target, value)[0] in {http.HTTPStatus.INTERNAL_SERVER_ERROR, http.HTTPStatus.GATEWAY_TIMEOUT}


def _reasons(target: LocalTarget, after: int) -> set[str]:
    """Why workers went; without control groups it is the whole replica that goes for its memory."""
    events = target.events("doubles", after=after)
    lost = {"memory" for event in events if event.kind == "lost" and event.message.endswith("(memory)")}
    return lost | {event.numbers["reason"] for event in events if event.kind == "worker"}


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
    assert "replicas wanted: 1" in tiffin(machine.home, "events", "doubles")


def test_a_folder_is_deployed_asked_by_name_and_let_go(machine: Machine) -> None:
    address = tiffin(machine.home, "deploy", machine.folder, "--to", "local")
    assert address.startswith("http://127.0.0.1:")
    assert "4.0" in tiffin(machine.home, "predict", "doubles", '[{"x": 2.0}]')
    assert address in tiffin(machine.home, "status")
    tiffin(machine.home, "deploy", machine.folder, "--to", "local", "-e", "WORD=new", "--canary", "10")
    status = json.loads(tiffin(machine.home, "status", "doubles", "--json"))
    assert [one["weight"] for one in status["revisions"]] == [10.0, 90.0]
    assert "available" in tiffin(machine.home, "promote", "doubles")
    tiffin(machine.home, "scale", "doubles", "0-2")
    assert json.loads(tiffin(machine.home, "status", "doubles", "--explain", "--json"))[0]["what"]
    assert tiffin(machine.home, "delete", "doubles") == "doubles"
    assert tiffin(machine.home, "ps", "-a").count("\n") == 0


def test_a_service_is_watched(machine: Machine, target: LocalTarget) -> None:
    load = load_on(target)
    with load.on():
        (row,) = json.loads(tiffin(machine.home, "top", "doubles", "--json"))
    assert (row["ready"], row["wanted"]) == (2, 2)
    assert row["rate"] > 0 < row["p50"] <= row["p99"]
    assert {part["name"].partition("-")[0] for part in row["parts"]} == {"front", "doubles"}
    assert all(part["memory"] > 1 << 20 and part["cpu"] is not None for part in row["parts"])
    assert len(json.loads(tiffin(machine.home, "stats", "doubles", "--json"))) == 2
    connection = Local(machine.data / FOLDER / SOCKET, DEADLINE)
    connection.request("GET", "/services/doubles/metrics")
    told = connection.getresponse().read().decode()
    connection.close()
    assert 'protocol="oip",code="200",revision="' in told
