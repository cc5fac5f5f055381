"""Services of any image with real containers, under load: they roll, scale, sleep, are lost, and nothing fails."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from contract.engine_fixtures import busybox_image, sh
from end_to_end.small import tiffin
from end_to_end.supervised import Supervised
from programs.waiting import until
from tiffin.api.machine.home import Home
from tiffin.api.services.up import this_machine
from tiffin.deploy.local.fronts import Fronts
from tiffin.deploy.local.places import FOLDER
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Probe, Replicas, Resources, Rollout, Service, Template
from tiffin.deploy.target import Phase
from tiffin.engine.spec import Status
from tiffin.errors import ConflictError, UnsupportedError
from tiffin.oci.image import Image

DEADLINE = 60.0
PROGRAM = """\
mkdir -p /tmp/www
echo "$WORD" > /tmp/www/index.html
[ "$BREAK" ] || echo ok > /tmp/www/up
trap 'kill $!; exit 0' TERM
/bin/busybox httpd -f -p ${PORT:-8080} -h /tmp/www & wait
"""


class Machine(Supervised):
    """A home with an image of busybox that serves a word, and its supervisor."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        place = Home.of({"TIFFIN_HOME": str(home)})
        memory, small = busybox_image()
        (layer,) = small.manifest.layers
        run = msgspec.structs.replace(
            small.config.config,
            entrypoint=["/bin/sh", "-c", PROGRAM],
            cmd=[],
            exposed_ports={"8080/tcp": {}},
            healthcheck={"Test": ["CMD", "curl", "-f", "http://localhost:8080/up"]},
        )
        image = Image.make(msgspec.structs.replace(small.config, config=run), [layer], {})
        with memory.open(layer) as blob:
            place.store.put(layer, io.BytesIO(blob.read()))
        image.write(place.store)
        place.store.tag("words:latest", image.descriptor)
        self.digest = image.descriptor.digest
        self.supervise()

    def service(self, word: str = "one", replicas: Replicas | None = None, **more: object) -> Service:
        template = Template(
            image="words",
            digest=self.digest,
            ports={"http": 8080},
            inherits=False,
            probe=Probe(ready="/up"),
            user=(0, 0),
            env={"WORD": word},
            resources=Resources(cpus=0, memory=0),
        )
        template = msgspec.structs.replace(template, **more)
        rollout = Rollout(progress_seconds=DEADLINE)
        return Service(name="words", template=template, replicas=replicas or Replicas(least=2, most=2), rollout=rollout)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("words"))
    yield machine
    machine.kill_supervisor()


@pytest.fixture
def target(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalTarget]:
    monkeypatch.setenv("TIFFIN_HOME", str(machine.home))
    target = this_machine(Home.of())
    target.apply(machine.service())
    yield target
    target.delete("words")
    assert not target._engine.list()


class Load:
    """Clients that ask again and again, each time on a connection of its own."""

    def __init__(self, target: LocalTarget) -> None:
        self.answers: Counter[str] = Counter()
        self.port = int(target.status("words").addresses[0].rpartition(":")[2])
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]

    @contextmanager
    def on(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            self.more(30)
            yield
            self.more(30)
        finally:
            self._ending.set()
            for thread in self._threads:
                thread.join(DEADLINE)

    def more(self, count: int, word: str = "") -> None:
        enough = self.answers[word] + count if word else sum(self.answers.values()) + count
        until(lambda: (self.answers[word] if word else sum(self.answers.values())) >= enough)

    def failed(self, *words: str) -> dict[str, int]:
        return {answer: count for answer, count in self.answers.items() if answer not in words}

    def _ask(self) -> None:
        while not self._ending.is_set():
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)) as client:
                try:
                    client.request("GET", "/")
                    self.answers[client.getresponse().read().decode().strip()] += 1
                except (OSError, http.client.HTTPException) as error:
                    self.answers[repr(error)] += 1


def available(target: LocalTarget) -> bool:
    status = target.status("words")
    return status.phase is Phase.AVAILABLE and status.ready == status.wanted


def test_updates_rollbacks_and_scaling_fail_no_request(machine: Machine, target: LocalTarget) -> None:
    load = Load(target)
    with load.on():
        assert target.apply(machine.service("two")).revisions[0].ready == 2
        load.more(10, "two")
        assert [one.ready for one in target.rollback("words").revisions] == [0, 2]
        target.scale("words", 1, 1)
        until(lambda: target.status("words").ready == 1)
        target.scale("words", 2, 2)
        until(lambda: available(target))
    assert load.failed("one", "two") == {}


def test_a_canary_gets_its_share_of_the_connections(machine: Machine, target: LocalTarget) -> None:
    target.canary(machine.service("new"), 20)
    load = Load(target)
    with load.on():
        load.more(300)
    assert load.failed("one", "new") == {}
    assert 0.1 < load.answers["new"] / sum(load.answers.values()) < 0.3
    target.promote("words")
    until(lambda: available(target))


def test_one_that_never_answers_its_probe_takes_nobodys_place(machine: Machine, target: LocalTarget) -> None:
    broken = machine.service("broken", env={"WORD": "broken", "BREAK": "yes"}, load_seconds=1.0)
    load = Load(target)
    with load.on(), pytest.raises(Exception, match="back to revision"):
        target.apply(broken)
    until(lambda: available(target))
    assert load.failed("one") == {}


def test_a_killed_replica_is_replaced(target: LocalTarget) -> None:
    load = Load(target)
    with load.on():
        lost = next(one for one in target._engine.list() if one.state().status is Status.RUNNING)
        lost.kill()
        until(lambda: available(target) and lost.id not in {one.id for one in target._engine.list()})
    failed = load.failed("one")
    assert sum(failed.values()) <= 12, failed  # what was in flight in it, or came before its end was seen


def test_a_killed_supervisor_finds_everything_again(machine: Machine, target: LocalTarget) -> None:
    load, before = Load(target), {one.id for one in target._engine.list()}
    with load.on():
        machine.kill_supervisor()
        machine.supervise()
        until(lambda: available(target))
    assert {one.id for one in target._engine.list()} == before
    assert load.failed("one") == {}


def test_a_killed_relay_is_replaced_and_refuses_nobody(target: LocalTarget) -> None:
    load, before = Load(target), {one.id for one in target._engine.list()}
    fronts = Fronts(Home.of().data / FOLDER / "words")
    first = fronts.look()
    assert first
    with load.on():
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: (now := fronts.look()) and now.pid not in {0, first.pid} and available(target))
    assert {one.id for one in target._engine.list()} == before
    assert "ConnectionRefused" not in str(load.answers)
    assert sum(load.failed("one").values()) <= 3, load.answers


def test_it_goes_to_zero_and_comes_back_while_a_connection_waits(machine: Machine, target: LocalTarget) -> None:
    target.delete("words")
    target.apply(machine.service(replicas=Replicas(least=0, most=1, idle_seconds=0.5)))
    until(lambda: not target._engine.list())
    load = Load(target)
    with load.on():
        pass
    assert load.failed("one") == {}


def asked_from(target: LocalTarget, service: str, name: str) -> str:
    """Ask a service by its name from a replica of another one."""
    replica = target.replicas(service)[0]
    code, out, err = sh(replica, f"/bin/busybox wget -q -O - http://{name}:8080/")
    assert code == 0, err
    return out.strip()


def test_on_the_machines_network_it_is_told_its_port_and_finds_services_by_name(
    machine: Machine, target: LocalTarget
) -> None:
    other = msgspec.structs.replace(machine.service("other", Replicas(), network="host"), name="other")
    port = target.apply(other).addresses[0].rpartition(":")[2]
    try:
        assert asked_from(target, "other", "words") == "one"
        target.apply(machine.service("two", network="host"))
        assert asked_from(target, "other", "words") == "two"
        assert asked_from(target, "words", "other") == "other"
        late = msgspec.structs.replace(machine.service("late", Replicas()), name="late")
        target.apply(late)
        assert asked_from(target, "other", "late") == "late", "who came later is found as well"
        target.delete("late")
        assert port != target.status("words").addresses[0].rpartition(":")[2]
    finally:
        target.delete("other")


def test_what_cannot_be_is_told(machine: Machine, target: LocalTarget) -> None:
    with pytest.raises(UnsupportedError, match="only those sleep warm"):
        target.apply(machine.service(replicas=Replicas(least=0, most=1, warm=True)))
    with pytest.raises(ConflictError, match="a service of another kind"):
        target.apply(machine.service(inherits=True))


def test_an_image_is_deployed_by_its_name_and_its_own_check_is_heard(machine: Machine) -> None:
    address = tiffin(machine.home, "deploy", "words:latest", "--name", "hello", "-e", "WORD=hello", "--to", "local")
    answer = http.client.HTTPConnection(address.rpartition("/")[2].strip(), timeout=DEADLINE)
    with contextlib.closing(answer):
        answer.request("GET", "/")
        assert answer.getresponse().read() == b"hello\n"
    shown = json.loads(tiffin(machine.home, "status", "hello", "--json"))
    assert (shown["phase"], shown["ready"]) == ("available", 1)
    assert tiffin(machine.home, "delete", "hello") == "hello"
