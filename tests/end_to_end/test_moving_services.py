"""A service under load goes from the embedded engine to docker and back, and fails no request."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from end_to_end import test_up as up
from end_to_end.small import Downloads, tiffin
from end_to_end.supervised import begun
from programs.client import Client
from programs.docker import dockerd
from programs.network import own_network
from tiffin.api.machine.home import Home
from tiffin.api.services.targets import LOCAL, Place, remember
from tiffin.api.services.up import this_machine
from tiffin.deploy.local.names import INSIDE
from tiffin.deploy.local.target import LocalTarget

pytestmark = pytest.mark.program("dockerd")


@pytest.fixture(scope="module")
def docker() -> Iterator[Client]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with own_network() as network, dockerd(network) as client:
        yield client


class Machine(up.Machine):
    """A home with the image, and a supervisor that finds the daemon."""

    docker: Client

    def supervise(self) -> None:
        self.process = begun(self.home, more=self.docker.environment)


@pytest.fixture
def machine(downloads: Downloads, docker: Client, tmp_path: Path) -> Iterator[Machine]:
    folder = tmp_path / "doubles"
    folder.mkdir()
    for name, text in (("predict.py", up.PREDICTOR), ("tiffin.toml", up.PROJECT)):
        (folder / name).write_text(text)
    for name, value in (("request.json", up.REQUEST), ("expect.json", up.EXPECT)):
        (folder / name).write_text(up.json.dumps(value))
    home = downloads.copy(tmp_path / "home")
    shutil.copy(downloads.lock, folder)
    Machine.docker = docker
    machine = Machine(home, folder, tiffin(home, "build", folder).partition("@")[2])
    yield machine
    machine.kill_supervisor()


@pytest.fixture
def target(machine: Machine, docker: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalTarget]:
    monkeypatch.setenv("TIFFIN_HOME", str(machine.home))
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    target = this_machine(Home.of())
    target.apply(machine.service())
    remember(Home.of(), "doubles", Place(target=LOCAL))
    yield target
    target.delete("doubles")
    assert docker("ps", "--all", "--quiet") == ""
    assert not target._engine.list()


def test_a_move_there_and_back_fails_no_request(machine: Machine, docker: Client, target: LocalTarget) -> None:
    load = up.load_on(target)
    address = target.status("doubles").addresses[0]
    with load.on():
        assert tiffin(machine.home, "migrate", "doubles", "--to", "docker", **docker.environment) == address
        assert target._engine.list() == []
        assert len(docker("ps", "--quiet").split()) == 2
        machine.kill_supervisor()
        machine.supervise()
        up.until(lambda: up.available(target))
        assert target.move("doubles", "embedded").ready == 2
        assert docker("ps", "--quiet") == ""
        networked = machine.service()
        networked = msgspec.structs.replace(
            networked, template=msgspec.structs.replace(networked.template, network="host")
        )
        assert target.apply(networked).ready == 2
        found = [
            mount.source for one in target.replicas("doubles") for mount in one.spec.mounts if mount.target == INSIDE
        ]
        assert [Path(source).read_text().split()[-1] for source in found] == ["doubles"] * 2
    assert load.failed == {}
    assert sum(load.answers.values()) > 100
