"""`tiffin migrate`: the service that tiffin built goes on answering, with whatever engine runs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

from foreign.test_run_on_engines import NAME, Place, docker_place, podman_place
from programs.iris import Iris

__all__ = ["docker_place", "podman_place"]


class Both:
    """The embedded engine, and another one beside it."""

    def __init__(self, other: Place) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.other = other
        self.embedded = Place("embedded", other.network, {**other.environment, "PATH": path})

    def answer(self, engine: Place, iris: Iris) -> None:
        """Ask the service for predictions, and compare them with the model's own."""
        frame = load_iris(as_frame=True).data.iloc[::50]
        said = json.loads(engine.tiffin("predict", NAME, json.dumps(frame.to_dict(orient="records"))).stdout)
        assert said["predictions"] == iris.model.predict(frame).tolist()

    def clear(self) -> None:
        for engine in (self.embedded, self.other):
            for row in engine.rows():
                engine.tiffin("rm", "-f", row["name"])


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.program("dockerd", "busybox")),
        pytest.param("podman", marks=pytest.mark.program("podman", "runc", "busybox")),
    ]
)
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    found = Both(request.getfixturevalue(f"{request.param}_place"))
    yield found
    found.clear()


def test_the_new_one_is_ready_before_the_old_one_is_stopped(both: Both, iris: Iris) -> None:
    first = both.embedded.tiffin("run", "-d", iris.name).stdout.strip()
    moved = both.embedded.tiffin("migrate", NAME, "--to", both.other.engine)
    assert moved.stdout.startswith("http://127.0.0.1:")
    assert moved.stdout.strip() != first
    assert moved.stderr.index("wait until the new one is ready") < moved.stderr.index("stop the old one")
    assert "nobody served" not in moved.stderr
    both.answer(both.other, iris)
    assert both.embedded.rows() == []


def test_a_port_that_was_named_is_interrupted_shortly_and_kept(both: Both, iris: Iris) -> None:
    first = both.embedded.tiffin("run", "-d", "-p", "18080:8080", iris.name).stdout
    there = both.embedded.tiffin("migrate", NAME, "--to", both.other.engine)
    assert there.stdout == first == "http://127.0.0.1:18080\n"
    assert "both would listen on 127.0.0.1:18080" in there.stderr
    assert "nobody served for " in there.stderr
    both.answer(both.other, iris)
    back = both.other.tiffin("migrate", NAME, "--to", "embedded")
    assert back.stdout == first
    both.answer(both.embedded, iris)
