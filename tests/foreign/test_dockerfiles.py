"""Dockerfiles are built by docker, podman or buildah, and their images are like any other."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from programs.client import Client
from programs.iris import Iris
from programs.process import run
from programs.python_base import write_context
from programs.storage import storage

DOCKERFILE = """\
FROM python:3.7
RUN pip install virtualenv
ENV VIRTUAL_ENV=/venv
RUN virtualenv venv -p python3
ENV PATH="$VIRTUAL_ENV/bin:$PATH"
WORKDIR /app
ADD . /app
RUN pip install -r requirements.txt
CMD ["python", "app.py"]
"""
APP = 'import sys, demo\nprint("demo", demo.__version__, "in", sys.prefix)\n'


@pytest.fixture(scope="module")
def context(iris: Iris, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the local python:3.7 is built from."""
    folder = tmp_path_factory.mktemp("python-base")
    write_context(iris, folder)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the Dockerfile of the product's origin."""
    folder = tmp_path / "origin"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "requirements.txt").write_text("demo==1.0\n")
    (folder / "app.py").write_text(APP)
    return folder


def tiffin(home: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    environment = {**os.environ, "TIFFIN_HOME": str(home), "TIFFIN_PROGRESS": "plain", **(env or {})}
    return run(sys.executable, "-m", "tiffin", *arguments, env=environment)


@pytest.mark.program("dockerd", "busybox")
@pytest.mark.parametrize("buildkit", ["1", "0"])
def test_docker_builds_it_and_it_runs_here(
    docker: Client, context: Path, project: Path, home: Path, buildkit: str
) -> None:
    docker("build", "--tag", "python:3.7", str(context))
    env = {**docker.environment, "DOCKER_BUILDKIT": buildkit}
    options = ["-f", f"{project}/Dockerfile", "-t", f"origin:{buildkit}", "--network", "host"]
    built = tiffin(home, "build", *options, str(project), env=env)
    assert built.startswith("origin@sha256:")
    seen = json.loads(tiffin(home, "inspect", f"origin:{buildkit}"))
    assert seen["config"]["config"]["WorkingDir"] == "/app"
    assert tiffin(home, "run", "--rm", f"origin:{buildkit}") == "demo 1.0 in /venv"
    explained = json.loads(tiffin(home, "explain", f"origin:{buildkit}", "--json"))
    assert {"name": "demo", "version": "1.0"}.items() <= next(
        row for row in explained["packages"] if row["name"] == "demo"
    ).items()
    assert any("pip install -r requirements.txt" in layer["layer"] for layer in explained["layers"])


@pytest.mark.program("podman", "buildah", "runc", "busybox")
@pytest.mark.parametrize("builder", ["podman", "buildah"])
def test_podman_and_buildah_build_it_and_it_runs_here(context: Path, project: Path, home: Path, builder: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with storage() as environment:
        run("buildah", "bud", "--tag", "docker.io/library/python:3.7", str(context), env=environment)
        options = ["-f", f"{project}/Dockerfile", "-t", f"origin:{builder}", "--builder", builder, "--network", "host"]
        built = tiffin(home, "build", *options, str(project), env=environment)
    assert built.startswith("origin@sha256:")
    assert tiffin(home, "run", "--rm", f"origin:{builder}") == "demo 1.0 in /venv"
