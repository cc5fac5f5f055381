"""docker and podman load the image and run it, and what runs there answers as the model does."""

from __future__ import annotations

import json

import pytest

from programs.client import Client
from programs.iris import Iris
from programs.process import run
from programs.service import running

HARDENED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


@pytest.mark.program("dockerd", "skopeo")
def test_docker_loads_it_layer_by_layer(loaded_by_docker: Client, iris: Iris) -> None:
    seen = json.loads(loaded_by_docker("image", "inspect", "iris:latest"))[0]
    manifest = json.loads((iris.layout / "blobs" / iris.digest.replace(":", "/")).read_bytes())
    assert seen["Id"] == manifest["config"]["digest"]
    assert len(seen["RootFS"]["Layers"]) == len(manifest["layers"])


@pytest.mark.program("dockerd", "skopeo")
def test_docker_runs_it_and_it_answers_as_the_model_does(loaded_by_docker: Client, iris: Iris) -> None:
    with running(loaded_by_docker, "iris:latest") as address:
        iris.check_answers(address)


@pytest.mark.program("dockerd", "skopeo")
def test_docker_runs_it_read_only_and_without_capabilities(loaded_by_docker: Client, iris: Iris) -> None:
    with running(loaded_by_docker, "iris:latest", *HARDENED) as address:
        iris.check_answers(address)


@pytest.mark.program("dockerd", "docker-registry", "skopeo")
def test_docker_pulls_it_by_its_digest(docker: Client, iris: Iris, own_registry: str) -> None:
    name = f"{own_registry}/pulled/iris"
    run("skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", iris.source, f"docker://{name}:1")
    assert iris.digest in docker("pull", f"{name}@{iris.digest}")


@pytest.mark.program("podman", "runc", "skopeo")
def test_podman_runs_it_and_it_answers_as_the_model_does(loaded_by_podman: Client, iris: Iris) -> None:
    with running(loaded_by_podman, "iris:latest") as address:
        iris.check_answers(address)


@pytest.mark.program("podman", "runc", "skopeo")
def test_podman_runs_it_read_only_and_without_capabilities(loaded_by_podman: Client, iris: Iris) -> None:
    with running(loaded_by_podman, "iris:latest", *HARDENED) as address:
        iris.check_answers(address)
