"""Engines that are other people's programs, started once for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.engine_fixtures import Bench, ClientBench, EmbeddedBench, MemoryBench, RealBench
from programs.docker import dockerd
from programs.network import own_network
from programs.storage import storage
from tiffin.engine.clients.dialect import DOCKER, PODMAN
from tiffin.engine.clients.engine import ClientEngine
from tiffin.store.save import save


@pytest.fixture(scope="session")
def docker_bench() -> Iterator[ClientBench]:
    _need_root()
    with own_network() as network, dockerd(network) as client:
        yield ClientBench(ClientEngine(DOCKER, save, environment=client.environment), network)


@pytest.fixture(scope="session")
def podman_bench() -> Iterator[ClientBench]:
    _need_root()
    with own_network() as network, storage() as environment:
        yield ClientBench(ClientEngine(PODMAN, save, (*network, "podman"), environment), network)


@pytest.fixture
def docker(docker_bench: ClientBench) -> Iterator[ClientBench]:
    yield docker_bench
    docker_bench.clear()


@pytest.fixture
def podman(podman_bench: ClientBench) -> Iterator[ClientBench]:
    yield podman_bench
    podman_bench.clear()


@pytest.fixture
def embedded(tmp_path: Path) -> EmbeddedBench:
    return EmbeddedBench(tmp_path / "data")


REAL = [
    "embedded",
    pytest.param("docker", marks=pytest.mark.program("dockerd", "busybox")),
    pytest.param("podman", marks=pytest.mark.program("podman", "runc", "busybox")),
]


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest) -> RealBench:
    found: RealBench = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["memory", *REAL])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        return MemoryBench()
    found: Bench = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["memory", "embedded"])
def able(request: pytest.FixtureRequest) -> Bench:
    """An engine that can do more with a container than run it."""
    return MemoryBench() if request.param == "memory" else request.getfixturevalue("embedded")


def _need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
