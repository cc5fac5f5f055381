"""The image that other people's programs are given, and those programs with data of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from programs.client import Client
from programs.docker import dockerd
from programs.iris import Iris, build_iris
from programs.podman import podman
from programs.process import run
from programs.registry import registry


@pytest.fixture(scope="session")
def iris(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iris:
    """The example, trained and built by the command line."""
    return build_iris(home, tmp_path_factory.mktemp("foreign") / "iris")


@pytest.fixture(scope="session")
def archive(iris: Iris, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as a docker-archive, which `docker load` of any age takes."""
    path = tmp_path_factory.mktemp("archive") / "iris.tar"
    run("skopeo", "copy", iris.source, f"docker-archive:{path}:iris:latest")
    return path


@pytest.fixture(scope="session")
def bundle(iris: Iris, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as umoci unpacks it: its files under rootfs, and a config.json for a runtime."""
    path = tmp_path_factory.mktemp("umoci") / "bundle"
    run("umoci", "unpack", "--rootless", "--image", f"{iris.layout}:{iris.name}", str(path))
    return path


@pytest.fixture(scope="session")
def docker() -> Iterator[Client]:
    """A dockerd of our own."""
    _need_root()
    with dockerd() as own:
        yield own


@pytest.fixture(scope="session")
def own_registry() -> Iterator[str]:
    """The address of a registry of our own."""
    with registry() as address:
        yield address


@pytest.fixture(scope="session")
def loaded_by_docker(docker: Client, archive: Path) -> Client:
    """A docker that has loaded the image as iris:latest."""
    assert "iris:latest" in docker("load", "--input", str(archive))
    return docker


@pytest.fixture(scope="session")
def loaded_by_podman(archive: Path) -> Iterator[Client]:
    """A podman that has loaded the image as iris:latest."""
    _need_root()
    with podman() as own:
        assert "iris:latest" in own("load", "--input", str(archive))
        yield own


def _need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
