"""What goes wrong with a step is said in words, with the end of its log; runs keep out of each other's way."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from end_to_end.small import Downloads, environment, run_tiffin, tiffin
from programs.registry import registry

DEADLINE = 60.0
PIPELINE = """\
import time

from tiffin_pipeline import Metrics, Output, Status, on_exit, pipeline, step

WORD = "old"


@step(timeout=1.5)
def hang() -> int:
    print("going to sleep", flush=True)
    time.sleep(1000)
    return 1


@step(memory="64Mi")
def eat() -> int:
    return len(b"x" * (1 << 30))


@step
def elsewhere() -> int:
    with open("/pipeline/elsewhere.txt", "w") as file:
        file.write("not allowed")
    return 1


@step
def undeclared() -> str:
    return open("/pipeline/rows.csv").read()


@step
def not_a_number(scores: Output[Metrics]) -> None:
    scores.log("accuracy", float("nan"))


@step
def text() -> int:
    return "many"


@step
def absent() -> int:
    import no_such_package

    return 1


@step
def slow(seconds: int) -> int:
    print("begun", flush=True)
    time.sleep(seconds)
    return seconds


@step
def word(after: int) -> str:
    return WORD


@step
def report(how: Status) -> None:
    print("it was", how.state)


@pipeline
def leaving():
    with on_exit(report):
        slow(1000)


def _alone(made):
    def alone():
        made()

    alone.__name__ = made.name
    return pipeline(alone)


all_of = [_alone(one) for one in (hang, eat, elsewhere, undeclared, not_a_number, text, absent)]
globals().update({f"only_{one.name}": one for one in all_of})


@pipeline
def words(seconds: int = 2):
    return {"word": word(slow(seconds).output).output}
"""
PROJECT = """\
name = "faults"
[model]
path = "model.json"
predictor = "predict:Faults"
[python]
dependencies = ["six==1.17.0"]
[image]
bytecode = false
"""


class Project:
    """A project with a pipeline for each thing that goes wrong."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home

    def fails(self, name: str) -> subprocess.CompletedProcess[str]:
        done = run_tiffin(self.home, "pipeline", "run", self.folder, "--name", name)
        assert done.returncode == 10, done.stderr
        return done

    def begin(self, *arguments: str, name: str = "words") -> subprocess.Popen[str]:
        """Begin a run, and return when its first step, `slow`, is being done."""
        before = self.begun()
        process = subprocess.Popen(
            [sys.executable, "-m", "tiffin", "pipeline", "run", str(self.folder), "--name", name, *arguments],
            env=environment(self.home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: self.begun() > before or process.poll() is not None)
        return process

    def begun(self) -> int:
        """How many attempts at `slow` have written that they began."""
        logs = (self.home / "data" / "pipelines").glob("*/runs/*/logs/slow.*.log")
        return sum("begun" in log.read_text() for log in logs)


def until(condition: Callable[[], object]) -> None:
    due = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < due, "gave up waiting"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def project(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "tiffin.toml").write_text(PROJECT)
    (folder / "rows.csv").write_text("a secret\n")
    shutil.copy(downloads.lock, folder)
    return Project(folder, downloads.copy(folder / "home"))


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("hang", "took longer than 1.5 s", "going to sleep"),
        ("eat", "took more memory than the 64 MiB that it may have", ""),
        ("elsewhere", "exit code 1", "Read-only file system: '/pipeline/elsewhere.txt'"),
        ("undeclared", "exit code 1", "No such file or directory: '/pipeline/rows.csv'"),
        ("not-a-number", "exit code", "accuracy"),
        ("text", "exit code 2", "'many'"),
        ("absent", "exit code 1", "hint: add what brings `no_such_package` to `[python] dependencies`"),
    ],
)
def test_a_step_that_goes_wrong_is_told_of(project: Project, name: str, reason: str, said: str) -> None:
    done = project.fails(name)
    assert f"error: {name} failed: {name} failed: " in done.stderr
    assert reason in done.stderr
    assert said in done.stderr


def test_two_runs_at_once_are_refused_and_an_interrupted_one_goes_on_later(project: Project) -> None:
    first = project.begin("-p", "seconds=1000")
    second = run_tiffin(project.home, "pipeline", "run", project.folder, "--name", "words")
    assert second.returncode == 6
    assert f"words is being run already: run {latest(project)}, by process {first.pid}" in second.stderr
    first.send_signal(signal.SIGINT)
    _, told = first.communicate(timeout=DEADLINE)
    assert first.returncode == 130, told
    assert json.loads(status(project))["state"] == "stopped"
    done = tiffin(project.home, "pipeline", "run", project.folder, "--name", "words", "-p", "seconds=0")
    assert done == "word old"


def test_what_is_done_on_exit_is_done_when_a_run_is_interrupted(project: Project) -> None:
    run = project.begin(name="leaving")
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=DEADLINE)
    assert run.returncode == 130, told
    assert "report is done before the run stops" in told
    assert tiffin(project.home, "pipeline", "logs", "report", "-C", project.folder, "--name", "leaving") == (
        "it was CANCELLED"
    )


def test_what_a_killed_run_leaves_in_containers_is_gone_with_the_next_one(project: Project) -> None:
    killed = project.begin("-p", "seconds=1001")
    killed.kill()
    killed.communicate(timeout=DEADLINE)
    assert "slow" in tiffin(project.home, "ps", "-a")
    tiffin(project.home, "pipeline", "run", project.folder, "--name", "words", "-p", "seconds=0")
    assert "slow" not in tiffin(project.home, "ps", "-a")


def test_code_that_is_edited_in_mid_run_counts_from_the_next_run_on(project: Project) -> None:
    running = project.begin("-p", "seconds=2")
    file = project.folder / "pipeline.py"
    file.write_text(file.read_text().replace('WORD = "old"', 'WORD = "new"'))
    assert running.communicate(timeout=DEADLINE)[0] == "word old\n"
    assert tiffin(project.home, "pipeline", "run", project.folder, "--name", "words") == "word new"
    why = tiffin(project.home, "pipeline", "why", "word", "-C", project.folder, "--name", "words")
    assert "the code of word: sha256:" in why


@pytest.mark.program("docker-registry")
def test_what_one_machine_has_done_no_other_does_again(project: Project, downloads: Downloads, tmp_path: Path) -> None:
    other = downloads.copy(tmp_path / "other")
    with registry() as address:
        words = ("pipeline", "run", project.folder, "--name", "words", "-p", "seconds=1", "--json")
        here, there = (
            json.loads(tiffin(home, *words, "--cache", f"{address}/team/results")) for home in (project.home, other)
        )
    assert there["outputs"] == here["outputs"]
    assert [task["cached"] for task in there["tasks"].values()] == [True, True]
    assert {name: task["key"] for name, task in there["tasks"].items()} == {
        name: task["key"] for name, task in here["tasks"].items()
    }


def latest(project: Project) -> str:
    run: str = json.loads(status(project))["id"]
    return run


def status(project: Project) -> str:
    return tiffin(project.home, "pipeline", "status", "-C", project.folder, "--name", "words", "--json")
