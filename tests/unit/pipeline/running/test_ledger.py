"""Ledgers: what was written is read back, whatever was killed or torn; and one run at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tiffin.errors import ConflictError, FullError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.pipeline.results import Artifact
from tiffin.pipeline.running.ledger import AttemptFailed, Ledger, Planned, RunEnded, TaskBegan, TaskEnded, begun
from tiffin.pipeline.running.runs import Runs, RunState
from tiffin.pipeline.running.spots import State
from unit.pipeline.graphs import graph, task

PLANNED = Planned(graph=graph(task("split"), task("fit")), arguments={"rows": "data/rows.csv"})
MODEL = Artifact(digest=Digest.of(b"model"), size=5, type="Model", name="model")
HELD = """
import sys
from pathlib import Path
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.running.ledger import Planned, TaskBegan, begun
with begun(Path(sys.argv[1]), Planned(graph=Graph(name="retrain"))) as ledger:
    ledger.write(TaskBegan(at=1.0, task="split"))
    print(ledger.run, flush=True)
    sys.stdin.read()
"""


def test_what_happened_is_read_back(tmp_path: Path) -> None:
    times = iter(range(1000, 2000))
    with begun(tmp_path, PLANNED, lambda: float(next(times))) as ledger:
        ledger.write(TaskBegan(at=1.0, task="split", key="sha256:0", document=msgspec.Raw(b'{"format":"1"}')))
        ledger.write(AttemptFailed(at=2.0, task="split", attempt=1, why="exit code 1", seconds=5))
        ledger.write(TaskBegan(at=7.0, task="split", attempt=2))
        done = TaskEnded(
            at=8.0,
            task="split",
            state=State.SUCCEEDED,
            attempt=2,
            seconds=1.0,
            values={"rows": 10},
            artifacts={"model": MODEL},
        )
        ledger.write(done, durable=True)
        ledger.write(TaskEnded(at=8.5, task="fit", state=State.SKIPPED, why="a condition"))
        ledger.write(RunEnded(at=9.0, state=State.SUCCEEDED, outputs={"rows": 10}))
    runs = Runs(tmp_path)
    run = runs.last()
    assert run == runs.read(ledger.run)
    assert run
    assert (run.state, run.pipeline, run.began, run.ended, run.pid) == (
        RunState.SUCCEEDED,
        "retrain",
        1001.0,
        9.0,
        os.getpid(),
    )
    split = run.tasks["split"]
    assert (split.state, split.attempt, split.began, split.ended) == (State.SUCCEEDED, 2, 1.0, 8.0)
    assert (split.key, split.document) == ("sha256:0", '{"format":"1"}')
    assert (split.values, split.artifacts) == ({"rows": 10}, {"model": MODEL})
    assert run.tasks["fit"].why == "a condition"
    assert run.outputs == {"rows": 10}
    assert runs.planned(run.id) == PLANNED


def test_runs_are_named_by_time_and_sort_by_it_whatever_the_clock_says(tmp_path: Path) -> None:
    names = []
    for now in (1_800_000_000.25, 1_800_000_000.25, 1_700_000_000.0, 1_800_000_060.0):
        with begun(tmp_path, PLANNED, lambda now=now: now) as ledger:  # type: ignore[misc]
            names.append(ledger.run)
    assert names[0] == "20270115-080000-250"
    assert Runs(tmp_path).ids() == names == sorted(set(names))


def test_two_runs_at_once_are_refused_and_the_second_is_told_of_the_first(tmp_path: Path) -> None:
    with begun(tmp_path, PLANNED) as ledger, pytest.raises(ConflictError) as refused, begun(tmp_path, PLANNED):
        pass
    assert refused.value.message == f"retrain is being run already: run {ledger.run}, by process {os.getpid()}"
    assert f"kill {os.getpid()}" in (refused.value.hint or "")
    with begun(tmp_path, PLANNED) as second:
        assert second.run > ledger.run


def test_a_run_whose_process_is_killed_is_told_as_such_and_the_next_one_may_begin(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HELD, tmp_path], stdin=-1, stdout=-1, env=_environment()) as process:
        assert process.stdout
        run = process.stdout.readline().decode().strip()
        assert Runs(tmp_path).read(run).state is RunState.RUNNING
        assert Runs(tmp_path).read(run).tasks["split"].state is State.RUNNING
        with pytest.raises(ConflictError, match=f"run {run}, by process {process.pid}"), begun(tmp_path, PLANNED):
            pass
        process.kill()
    found = Runs(tmp_path).read(run)
    assert found.state is RunState.KILLED
    assert (found.tasks["split"].state, found.tasks["split"].why) == (State.STOPPED, "the run was killed")
    with begun(tmp_path, PLANNED) as ledger:
        assert Runs(tmp_path).read(ledger.run).state is RunState.RUNNING
        assert Runs(tmp_path).read(run).state is RunState.KILLED


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def _write(ledger: Ledger, count: int) -> None:
    for index in range(count):
        ledger.write(TaskEnded(at=1.0, task=f"t{index}", state=State.SUCCEEDED))


def test_a_ledger_is_read_wherever_it_is_torn(tmp_path: Path) -> None:
    with begun(tmp_path, PLANNED) as ledger:
        _write(ledger, 3)
    path = ledger.folder / "ledger.jsonl"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        run = Runs(tmp_path).read(ledger.run)
        lines = whole[:length].count(b"\n")
        assert len(run.tasks) in (max(0, lines - 1), lines)
        assert run.state is RunState.KILLED


def test_a_line_that_does_not_fit_is_not_there_at_all_and_the_next_one_is(tmp_path: Path) -> None:
    with begun(tmp_path, PLANNED) as ledger:
        pass
    path = ledger.folder / "ledger.jsonl"
    with path.open("ab") as file:
        full = Ledger(ledger.folder, _Narrow(file), lambda: 0.0)  # type: ignore[arg-type]
        with pytest.raises(FullError):
            full.write(TaskEnded(at=1.0, task="t", state=State.SUCCEEDED))
        full.write(TaskEnded(at=1.0, task="u", state=State.SUCCEEDED))
    assert list(Runs(tmp_path).read(ledger.run).tasks) == ["u"]


class _Narrow:
    """A file on a disk with room for half of the first line."""

    def __init__(self, file: object) -> None:
        self._file, self._full = file, True

    def write(self, data: bytes) -> int:
        if not self._full:
            return self._file.write(data)  # type: ignore[attr-defined,no-any-return]
        self._full = False
        self._file.write(data[: len(data) // 2])  # type: ignore[attr-defined]
        self._file.flush()  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_what_attempts_write_is_there_at_once_each_in_its_file(tmp_path: Path) -> None:
    with begun(tmp_path, PLANNED) as ledger:
        for attempt in (1, 2, 10):
            with ledger.log("fit[1,2]", attempt) as said:
                said(f"attempt {attempt}\n")
                said("and on \udcff")
                paths = Runs(tmp_path).logs(ledger.run, "fit[1,2]")
                assert paths[-1].read_text() == f"attempt {attempt}\nand on ?\n"
        assert [path.name for path in paths] == ["fit[1,2].1.log", "fit[1,2].2.log", "fit[1,2].10.log"]
        assert Runs(tmp_path).logs(ledger.run, "fit") == []


def test_what_killed_runs_left_behind_is_deleted_by_the_next_one(tmp_path: Path) -> None:
    with begun(tmp_path, PLANNED) as ledger, ledger.workplace() as place, ledger.workplace() as other:
        assert place != other
        (place / "model").write_bytes(b"weights")
    assert not place.exists()
    (ledger.folder / "work" / "7").mkdir(parents=True)
    with begun(tmp_path, PLANNED):
        assert not (ledger.folder / "work").exists()


def test_a_sweep_is_told_of_runs_that_were_killed_in_mid_attempt_and_of_no_others(tmp_path: Path) -> None:
    told: list[list[str]] = []
    with begun(tmp_path, PLANNED, sweep=lambda runs: told.append(list(runs))) as killed, killed.workplace():
        pass
    with begun(tmp_path, PLANNED, sweep=lambda runs: told.append(list(runs))):
        assert not told
        (killed.folder / "work" / "7").mkdir(parents=True)
    with begun(tmp_path, PLANNED, sweep=lambda runs: told.append(list(runs))):
        assert told == [[killed.run]]
    with begun(tmp_path, PLANNED, sweep=lambda runs: told.append(list(runs))):
        assert told == [[killed.run]]


def test_a_run_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    assert Runs(tmp_path / "none").last() is None
    with begun(tmp_path, PLANNED) as ledger:
        pass
    with pytest.raises(NotFoundError, match=f"the latest are {ledger.run}"):
        Runs(tmp_path).read("../x")
