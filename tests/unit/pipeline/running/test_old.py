"""Runs that nobody looks back at go; those of the last month, the newest ones and the one that goes on stay."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tiffin.pipeline.graph import Graph
from tiffin.pipeline.running.ledger import Planned, began_at, begun, run_ids
from tiffin.pipeline.running.old import NEWEST, let_go, old, old_runs, sweep_runs

PLANNED = Planned(graph=Graph(name="retrain"))
LONG_AGO = 1_700_000_000.0


def written(pipelines: Path, count: int, began: float = LONG_AGO) -> list[str]:
    for index in range(count):
        with begun(pipelines / "iris.retrain", PLANNED, lambda now=began + index: now) as ledger:  # type: ignore[misc]
            (ledger.folder / "logs").mkdir()
            (ledger.folder / "logs" / "fit.1.log").write_text("fits")
    return run_ids(pipelines / "iris.retrain")


@given(st.lists(st.integers(0, 10**9), unique=True, max_size=2 * NEWEST + 5), st.integers(0, 10**9))
def test_what_goes_is_older_than_the_time_and_than_the_newest(times: list[int], before: int) -> None:
    runs = [_name(each) for each in sorted(times)]
    gone = old(runs, before)
    assert not set(gone) & set(runs[-NEWEST:])
    assert all(began_at(run) < before for run in gone)
    assert set(runs) - set(gone) == set(runs[-NEWEST:]) | {run for run in runs if began_at(run) >= before}


def _name(began: int) -> str:
    return f"{datetime.fromtimestamp(began, UTC):%Y%m%d-%H%M%S}-000"


def test_a_run_that_goes_is_gone_with_all_that_was_written_of_it(tmp_path: Path) -> None:
    runs = written(tmp_path, NEWEST + 2)
    shared = tmp_path / "iris.retrain" / "workspaces" / runs[0]
    shared.mkdir(parents=True)
    found = old_runs(tmp_path, LONG_AGO + 1)
    assert [one.run for one in found] == runs[:1]
    assert found[0].size > 0
    let_go(found[0])
    assert run_ids(tmp_path / "iris.retrain") == runs[1:]
    assert not shared.exists()
    assert not list(tmp_path.glob("*/*/.*"))


def test_the_run_that_goes_on_stays_however_long_ago_it_began(tmp_path: Path) -> None:
    written(tmp_path, NEWEST)
    with begun(tmp_path / "iris.retrain", PLANNED, lambda: LONG_AGO + 10**6) as ledger:
        assert ledger.run not in [one.run for one in old_runs(tmp_path, LONG_AGO + 10**9)]


def test_what_a_prune_that_was_killed_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    run = tmp_path / "iris.retrain" / "runs" / written(tmp_path, 1)[0]
    run.rename(run.with_name(f".{run.name}.gone"))
    assert not run_ids(tmp_path / "iris.retrain")
    sweep_runs(tmp_path)
    assert not list(run.parent.iterdir())
