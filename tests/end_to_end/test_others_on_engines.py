"""A service of any image on docker and podman: its replicas publish a port on the loopback, which the relay reaches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from end_to_end import test_others as others
from end_to_end.supervised import begun
from programs.docker import dockerd
from programs.network import own_network
from programs.process import run
from programs.storage import storage
from tiffin.api.machine.home import Home
from tiffin.api.services.up import this_machine
from tiffin.deploy.local.target import LocalTarget

ASK = """\
import http.client, sys, time
client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
client.request("GET", "/")
print(client.getresponse().read().decode().strip())
"""


class Machine(others.Machine):
    """A home with the image, whose supervisor is in the network of its engine."""

    network: tuple[str, ...]
    more: Mapping[str, str]

    def supervise(self) -> None:
        """Have one in the network of its engine."""
        self.process = begun(self.home, before=self.network, more=self.more)

    def ask(self, target: LocalTarget) -> str:
        port = target.status("words").addresses[0].rpartition(":")[2]
        return run(*self.network, sys.executable, "-c", ASK, port)


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.program("dockerd", "busybox")),
        pytest.param("podman", marks=pytest.mark.program("podman", "runc", "busybox")),
    ]
)
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with own_network() as network, storage() if request.param == "podman" else dockerd(network) as found:
        more = {**(found if isinstance(found, Mapping) else found.environment), "TIFFIN_ENGINE": request.param}
        Machine.network, Machine.more = network, more
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("TIFFIN_HOME", str(tmp_path))
        machine = Machine(tmp_path)
        yield machine
        machine.kill_supervisor()


def test_it_answers_rolls_and_finds_others_by_name(machine: Machine) -> None:
    target = this_machine(Home.of())
    target.apply(machine.service())
    assert machine.ask(target) == "one"
    target.apply(machine.service("two"))
    assert machine.ask(target) == "two"
    other = msgspec.structs.replace(machine.service("other", others.Replicas(), network="host"), name="other")
    target.apply(other)
    (replica,) = target.replicas("other")
    ask = ("/bin/busybox", "wget", "-q", "-O", "-", "http://words:8080/")
    assert run(*machine.network, sys.executable, "-m", "tiffin", "exec", replica.spec.name, *ask).strip() == "two"
    for name in ("words", "other"):
        target.delete(name)
    assert not target._engine.list()
