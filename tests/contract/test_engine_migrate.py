"""`tiffin migrate` between real engines: the same container there, or the old one as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.engine_fixtures import REAL, ClientBench
from tiffin.store.layout import LayoutStore

ELSEWHERE = "[ -e /.dockerenv ] || [ -e /run/.containerenv ]"
COUNT = "echo x >> /keep/cache/runs; wc -l < /keep/cache/runs; trap 'exit 0' TERM; sleep 600 & wait"
"""Counts the runs that had the same volume."""


class Place:
    """The command line where both the embedded engine and another one work."""

    def __init__(self, bench: ClientBench, other: str, home: Path) -> None:
        self.other = other
        store = LayoutStore(home / "data")
        for layer in bench.image.manifest.layers:
            with bench.store.open(layer) as blob:
                store.put(layer, blob)
        bench.image.write(store)
        store.tag("busybox:latest", bench.image.descriptor)
        own = {
            "TIFFIN_HOME": str(home),
            "TIFFIN_PROGRESS": "json",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        self._environment = {**bench.engine._program._environment, **own, "PATH": os.environ["PATH"]}
        self._network = bench.network

    def process(self, *arguments: str) -> subprocess.Popen[str]:
        argv = [*self._network, sys.executable, "-m", "tiffin", *arguments]
        return subprocess.Popen(argv, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def tiffin(self, *arguments: str, status: int = 0) -> tuple[str, str]:
        with self.process(*arguments) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == status, out + err
        return out.strip(), err

    def run(self, script: str, *options: str) -> None:
        self.tiffin(
            "run",
            "-d",
            "--read-only",
            "--name",
            "job",
            *options,
            "-v",
            "cache:/keep/cache",
            "--",
            "busybox",
            "sh",
            "-c",
            script,
        )

    def migrate(self, here: str, there: str, *options: str, status: int = 0) -> tuple[str, str]:
        return self.tiffin("migrate", "job", "--engine", here, "--to", there, *options, status=status)

    def killed_at(self, words: str) -> None:
        """Move it to the other engine, and kill the command when it begins this step."""
        with self.process("migrate", "job", "--to", self.other) as process:
            assert process.stderr
            assert any(words in line for line in process.stderr)
            process.kill()

    def status(self, engine: str) -> list[str]:
        rows = json.loads(self.tiffin("ps", "-a", "--json", "--engine", engine)[0])
        return [row["status"] for row in rows if row["name"] == "job"]

    def lines(self, engine: str) -> list[str]:
        return self.tiffin("logs", "job", "--engine", engine)[0].split()

    def volumes(self, engine: str) -> list[str]:
        rows = json.loads(self.tiffin("volume", "ls", "--json", "--engine", engine)[0])
        return [row["name"] for row in rows]

    def clear(self) -> None:
        for engine in ("embedded", self.other):
            if self.status(engine):
                self.tiffin("rm", "-f", "job", "--engine", engine)
            for name in self.volumes(engine):
                self.tiffin("volume", "rm", name, "--engine", engine)


@pytest.fixture(params=REAL[1:])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    bench: ClientBench = request.getfixturevalue(request.param)
    found = Place(bench, request.param, tmp_path / "home")
    yield found
    found.clear()


def test_it_goes_there_and_back_with_its_options_and_its_volume(place: Place) -> None:
    place.run(COUNT, "-e", "A=b c", "-w", "/app", "-l", "team=search")
    spec = json.loads(place.tiffin("inspect", "job")[0])["spec"]
    out, err = place.migrate("embedded", place.other)
    assert out == "job"
    assert "what one writes to its volume cache would not reach the other" in err
    assert "nobody served for " in err
    assert json.loads(place.tiffin("inspect", "job", "--engine", place.other)[0])["spec"] == spec
    assert (place.status("embedded"), place.status(place.other)) == ([], ["running"])
    assert (place.volumes("embedded"), place.volumes(place.other)) == ([], ["cache"])
    assert place.lines(place.other) == ["2"]
    place.migrate(place.other, "embedded")
    assert (place.status("embedded"), place.status(place.other)) == (["running"], [])
    assert (place.volumes("embedded"), place.volumes(place.other)) == (["cache"], [])
    assert place.lines("embedded") == ["3"]


def test_one_that_fails_there_goes_on_here(place: Place) -> None:
    place.run(f"if {ELSEWHERE}; then echo not here >&2; exit 4; fi; {COUNT}")
    _, err = place.migrate("embedded", place.other, status=10)
    assert "error: job exited 4 before it was ready" in err
    assert "not here" in err
    assert (place.status("embedded"), place.status(place.other)) == (["running"], [])
    assert (place.volumes("embedded"), place.volumes(place.other)) == (["cache"], [])
    assert place.lines("embedded") == ["1", "2"]


@pytest.mark.parametrize(
    "words", ["create the new one", "remove the new one", "start the new one", "remove the old one"]
)
def test_a_killed_move_is_seen_by_ps_and_carried_on(place: Place, words: str) -> None:
    place.run(COUNT)
    place.killed_at(words)
    assert place.status("embedded") + place.status(place.other)
    place.migrate("embedded", place.other)
    assert (place.status("embedded"), place.status(place.other)) == ([], ["running"])
    assert (place.volumes("embedded"), place.volumes(place.other)) == ([], ["cache"])


def test_the_plan_says_every_step_and_does_none(place: Place) -> None:
    place.run(COUNT)
    out, _ = place.tiffin("migrate", "job", "--to", place.other, "--plan")
    assert out.splitlines()[:4] == [
        "1. load its image",
        "2. copy a volume while it is in use, to see that it can be: cache",
        "3. create the new one",
        "4. stop the old one",
    ]
    assert out.splitlines()[-1].startswith("nobody serves from `stop the old one` to `wait until the new one is ready`")
    assert (place.status("embedded"), place.status(place.other)) == (["running"], [])
