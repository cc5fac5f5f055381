"""A run may be killed at any moment: the next one goes on from the last task that was kept, and does none twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiffin.pipeline.graph import Graph
from tiffin.pipeline.results import Result
from tiffin.pipeline.running.ledger import run_ids
from tiffin.pipeline.running.runs import Runs, RunState
from tiffin.pipeline.running.spots import State
from unit.pipeline.memory_results import MemoryResults
from unit.pipeline.ran import Place
from unit.pipeline.running.test_schedule_laws import written

KILLED = Path(__file__).parents[1] / "killed_run.py"


class PowerCutError(BaseException):
    """What nobody catches, as nobody would go on."""


class BrokenResults(MemoryResults):
    """Results that keep so many more and then are gone, after the last was kept."""

    left = 0

    def keep(self, *told: object) -> Result:
        kept = super().keep(*told)  # type: ignore[arg-type]
        self.left -= 1
        if self.left == 0:
            raise PowerCutError
        return kept


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 6), max_size=4))
def test_begun_again_after_any_commit_each_task_is_done_once_in_all(tmp_path: Path, seed: int, cuts: list[int]) -> None:
    made, place = written(seed), _place(tmp_path / f"{seed}-{len(cuts)}-{sum(cuts)}")
    for cut in cuts:
        place.results.left = cut  # type: ignore[attr-defined]
        try:
            place.run(made)
        except PowerCutError:
            continue
    place.results.left = 0  # type: ignore[attr-defined]
    run = place.run(made)
    assert run.state is RunState.SUCCEEDED
    assert len(place.results.kept) == len(set(place.results.kept))
    assert _states(place, made) == _states(_place(tmp_path / f"{seed}-{len(cuts)}-{sum(cuts)}-whole"), made)


def _place(folder: Path) -> Place:
    folder.mkdir(exist_ok=True)
    place = Place(folder)
    place.results = BrokenResults(folder / "taken")
    return place


def _states(place: Place, made: Graph) -> dict[str, tuple[State, str]]:
    return {name: (each.state, each.key) for name, each in place.run(made).tasks.items()}


@pytest.mark.parametrize("moment", range(2, 32, 5))
def test_killed_at_any_moment_and_begun_again_it_goes_on(tmp_path: Path, moment: int) -> None:
    assert _run(tmp_path, moment) in (-9, 0)
    assert _run(tmp_path, 0) == 0
    first, *rest = (Runs(tmp_path / "retrain").read(run) for run in run_ids(tmp_path / "retrain"))
    whole = rest[-1] if rest else first
    assert whole.state is RunState.SUCCEEDED
    assert {name: each.state for name, each in whole.tasks.items()} == dict.fromkeys(
        ["split", "fit[0]", "fit[1]", "fit[2]", "best"], State.SUCCEEDED
    )
    assert all(each.cached for each in whole.tasks.values() if _kept(first.tasks.get(each.task)))
    did = [path.name.partition(".")[0] for path in (tmp_path / "did").iterdir()]
    assert len(did) == len(set(did)) <= 5  # the mark of one may be missing: it was kept when another killed them both
    assert not list((tmp_path / "retrain").glob("runs/*/work/*"))


def _kept(task: object) -> bool:
    return getattr(task, "state", None) is State.SUCCEEDED


def _run(folder: Path, moment: int) -> int:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, KILLED, folder, str(moment)], env=environment, check=False).returncode
