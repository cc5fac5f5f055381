"""`tiffin pipeline watch` as its user has it: new rows are one run, and it may be ended and killed at any time."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Self

import pytest

from end_to_end.small import environment, run_tiffin
from programs.registry import registry
from tiffin.oci.documents import CONFIG, MANIFEST, Descriptor, Manifest, encode
from tiffin.oci.reference import Reference
from tiffin.store.remote.store import RemoteStore

DEADLINE = 60.0
STEPS = """
import time
from pathlib import Path

from tiffin_pipeline import Dataset, Output, pipeline, step

@step
def clean(rows: Dataset, kept: Output[Dataset]) -> None:
    kept.path.write_text(rows.path.read_text().lower())

@step
def fit(kept: Dataset, held: str) -> int:
    while Path(held).exists():
        time.sleep(0.01)
    return sum(int(line) for line in kept.path.read_text().split())

@step
def double(number: int) -> int:
    return 2 * number

@pipeline
def count(rows: Dataset = "rows.txt", held: str = ""):
    return {"sum": double(fit(clean(rows), held).output).output}
"""


class Project:
    """A pipeline that sums rows, a home of its own, and a file that holds its second step while it is there."""

    def __init__(self, folder: Path, triggers: str = 'watch = ["rows.txt"]') -> None:
        self.folder, self.home, self.held = folder / "count", folder / "home", folder / "held"
        self.folder.mkdir()
        self.home.mkdir()
        self.write(triggers)
        (self.folder / "pipeline.py").write_text(STEPS)
        self.rows = self.folder / "rows.txt"
        self.rows.write_text("1\n")

    def write(self, triggers: str) -> None:
        arguments = f'[pipeline.arguments]\nheld = "{self.held}"\n'
        section = f'[pipeline]\nname = "count"\nsettle-seconds = 0.2\n{triggers}\n'
        text = f'name = "count"\n[model]\npath = "model"\n{section}{arguments}'
        (self.folder / "tiffin.toml").write_text(text)

    def runs(self) -> list[dict[str, object]]:
        found = run_tiffin(self.home, "pipeline", "list", "-C", self.folder, "--json")
        return json.loads(found.stdout) if found.returncode == 0 else []

    def once(self, *options: str) -> subprocess.CompletedProcess[str]:
        return run_tiffin(self.home, "pipeline", "watch", self.folder, "--native", "--once", "--exit-code", *options)

    @contextmanager
    def watched(self) -> Iterator[Watcher]:
        with Watcher(self) as watcher:
            yield watcher


class Watcher:
    """A process that watches, and what it has said so far."""

    def __init__(self, project: Project) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tiffin", "pipeline", "watch", "--native", project.folder],
            env=environment(project.home),
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reading = Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr
        self.lines.extend(line.rstrip() for line in self.process.stderr if not line.startswith("read "))

    def said(self, words: str, times: int = 1) -> None:
        """Wait until so many lines have these words."""
        until(lambda: sum(words in line for line in self.lines) >= times, self.lines)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join(DEADLINE)
        assert self.process.stderr
        self.process.stderr.close()


def until(condition: Callable[[], object], said: object = "") -> None:
    due = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < due, said
        time.sleep(0.05)


def test_new_rows_are_one_run_each_and_the_same_bytes_are_none(tmp_path: Path) -> None:
    project = Project(tmp_path)
    with project.watched() as watcher:
        watcher.said(" succeeded")
        project.rows.write_text("1\n")
        project.rows.write_text("1\nmuch\n")
        watcher.said(" failed: count failed: fit")
        project.rows.write_text("1\n2\n")
        watcher.said(" succeeded", times=2)
        assert watcher.end() == 0
    assert [run["state"] for run in project.runs()] == ["succeeded", "failed", "succeeded"]
    begun = [line.partition(" begins: ")[2] for line in watcher.lines if " begins: " in line]
    assert begun == ["rows.txt is new", "rows.txt has changed", "rows.txt has changed"]


@pytest.mark.parametrize(
    ("number", "status", "state"), [(signal.SIGTERM, 0, "stopped"), (signal.SIGKILL, -9, "killed")]
)
def test_a_watcher_that_is_ended_in_a_run_goes_on_with_it(
    tmp_path: Path, number: signal.Signals, status: int, state: str
) -> None:
    project = Project(tmp_path)
    project.held.touch()
    with project.watched() as watcher:
        watcher.said("done      clean")
        watcher.process.send_signal(number)
        if number is signal.SIGTERM:
            watcher.said("the run is being stopped")  # a step in this very process ends by itself
            project.held.unlink()
        assert watcher.process.wait(DEADLINE) == status
    project.held.unlink(missing_ok=True)
    assert [run["state"] for run in project.runs()] == [state]
    with project.watched() as watcher:
        watcher.said(" succeeded")
        assert watcher.end(signal.SIGINT) == 0
    assert "kept      clean" in watcher.lines
    assert f"the run before was {state}" in "".join(watcher.lines)
    assert [run["state"] for run in project.runs()] == ["succeeded", state]


def test_a_second_watcher_is_told_of_the_first(tmp_path: Path) -> None:
    project = Project(tmp_path)
    with project.watched() as watcher:
        watcher.said(" succeeded")
        second = project.once()
        assert second.returncode == 6
        assert f"count is being watched already, by process {watcher.process.pid} [conflict]" in second.stderr
        assert watcher.end() == 0


def test_once_says_by_its_status_what_became_of_it(tmp_path: Path) -> None:
    project = Project(tmp_path)
    done = project.once()
    assert (done.returncode, done.stdout.strip()) == (0, project.runs()[0]["run"])
    assert (project.once().returncode, project.once("--json").stdout) == (20, "null\n")
    project.rows.write_text("many\n")
    assert (project.once().returncode, project.once().returncode) == (10, 20)


@pytest.mark.program("docker-registry")
def test_a_tag_that_is_moved_is_one_run(tmp_path: Path) -> None:
    with registry() as host:
        project = Project(tmp_path, f'watch = ["{host}/team/rows:1"]')
        missing = project.once()
        assert missing.returncode == 4, missing.stderr
        for number in (1, 2):
            move(host, number)
            assert [project.once().returncode for _ in range(2)] == [0, 20]
    assert len(project.runs()) == 2


def move(host: str, number: int) -> None:
    """Let the tag mean another image, of no layers."""
    store = RemoteStore.of(Reference.parse(f"{host}/team/rows"), {}, writing=True)
    config = json.dumps({"architecture": "amd64", "os": "linux", "author": str(number)}).encode()
    told = Descriptor.of(config, CONFIG)
    store.put(told, io.BytesIO(config))
    manifest = encode(Manifest(config=told, layers=[]))
    described = Descriptor.of(manifest, MANIFEST)
    store.put(described, io.BytesIO(manifest))
    store.tag("1", described)
