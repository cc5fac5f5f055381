"""`tiffin run --engine docker|podman`: the image that tiffin built runs there, and the verbs say what they say here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from sklearn.datasets import load_iris

from programs.docker import dockerd
from programs.iris import Iris
from programs.network import own_network
from programs.storage import storage
from programs.waiting import until

NAME = "foreign"
"""What a container of the image is called unless one says otherwise."""


@dataclass(frozen=True)
class Place:
    """Where tiffin finds an engine: what goes before its command, and its environment."""

    engine: str
    network: tuple[str, ...]
    environment: Mapping[str, str]

    def argv(self, *arguments: str) -> list[str]:
        verb, *rest = arguments
        return [*self.network, sys.executable, "-m", "tiffin", verb, "--engine", self.engine, *rest]

    def tiffin(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.argv(*arguments), env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def rows(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.tiffin("ps", "-a", "--json").stdout)
        return found


def _environment(iris: Iris, engine: Mapping[str, str]) -> dict[str, str]:
    own = {"TIFFIN_HOME": str(iris.layout.parent), "TIFFIN_PROGRESS": "plain", "LANG": "C.UTF-8"}
    python = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    return {**engine, **own, **python, "PATH": os.environ["PATH"]}


@pytest.fixture(scope="module")
def docker_place(iris: Iris) -> Iterator[Place]:
    with own_network() as network, dockerd(network) as client:
        yield Place("docker", network, _environment(iris, client.environment))


@pytest.fixture(scope="module")
def podman_place(iris: Iris) -> Iterator[Place]:
    with own_network() as network, storage() as environment:
        yield Place("podman", network, _environment(iris, environment))


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.program("dockerd", "busybox")),
        pytest.param("podman", marks=pytest.mark.program("podman", "runc", "busybox")),
    ]
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    found: Place = request.getfixturevalue(f"{request.param}_place")
    yield found
    for row in found.rows():
        found.tiffin("rm", "-f", row["name"])


def test_it_runs_answers_logs_stops_and_is_removed(place: Place, iris: Iris) -> None:
    address = place.tiffin("run", "-d", iris.name).stdout.strip()
    assert address.startswith("http://127.0.0.1:")
    frame = load_iris(as_frame=True).data.iloc[::50]
    answer = json.loads(place.tiffin("predict", NAME, json.dumps(frame.to_dict(orient="records"))).stdout)
    assert answer["predictions"] == iris.model.predict(frame).tolist()
    assert [(row["name"], row["status"]) for row in place.rows()] == [(NAME, "running")]
    logs = place.tiffin("logs", NAME)
    assert logs.stdout + logs.stderr
    place.tiffin("stop", NAME)
    assert [(row["name"], row["status"]) for row in place.rows()] == [(NAME, "exited 0")]
    place.tiffin("rm", NAME)
    assert place.rows() == []


def test_a_second_run_moves_nothing_and_gets_a_port_of_its_own(place: Place, iris: Iris) -> None:
    place.tiffin("run", "-d", iris.name)
    second = place.tiffin("run", "-d", iris.name)
    assert "localhost/tiffin" not in second.stderr
    ports = {row["ports"] for row in place.rows()}
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") and port.endswith("->8080") for port in ports)


def test_a_foreground_container_stops_when_tiffin_is_killed(place: Place, iris: Iris) -> None:
    with subprocess.Popen(
        place.argv("run", iris.name), env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tiffin:
        assert tiffin.stdout
        assert tiffin.stdout.readline().startswith(b"http://")
        tiffin.kill()
    until(lambda: [row["status"] for row in place.rows()] == ["exited 0"], lambda: str(place.rows()))


def test_a_foreground_container_is_stopped_by_sigterm_and_removed_when_asked(place: Place, iris: Iris) -> None:
    with subprocess.Popen(
        place.argv("run", "--rm", iris.name), env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tiffin:
        assert tiffin.stdout
        assert tiffin.stdout.readline().startswith(b"http://")
        tiffin.terminate()
        tiffin.communicate(timeout=60)
    assert tiffin.returncode == 0
    assert place.rows() == []


@pytest.mark.program("dockerd")
def test_a_daemon_that_does_not_run_is_said_to_be_stopped(iris: Iris) -> None:
    place = Place("docker", (), _environment(iris, {"DOCKER_HOST": "unix:///nowhere/docker.sock"}))
    assert "docker's daemon does not answer at unix:///nowhere/docker.sock" in place.tiffin("ps", status=7).stderr
