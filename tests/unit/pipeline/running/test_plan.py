"""Plans: what a run would do is told before, with reasons, and nothing is done for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiffin.errors import NotFoundError
from tiffin.pipeline.graph import Graph, Port
from tiffin.pipeline.running.means import RunOptions
from tiffin.pipeline.running.plan import Verdict, plan_pipeline
from tiffin.pipeline.running.spots import State
from unit.pipeline.graphs import argument, but, constant, for_each, graph, is_, output, step, task, when
from unit.pipeline.memory_bench import MemoryBench
from unit.pipeline.ran import Place
from unit.pipeline.running.test_schedule_laws import written

BODY = (
    task("split", x=argument("share")),
    task("fit", x=output("split"), depth=argument("depth")),
    when("w", is_(output("fit"), ">", 0.1), task("ship"), otherwise=(task("complain"),)),
)
PARAMETERS = {"share": Port(type="float", default=0.2), "depth": Port(type="float", default=4)}
RETRAIN = graph(*BODY, **PARAMETERS)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def plan(
    place: Place, made: Graph, arguments: dict[str, Any] | None = None, **options: Any
) -> dict[str, tuple[str, str]]:
    told = plan_pipeline(made, arguments or {}, place.means(), place.runs.last(), RunOptions(**options))
    assert len({each.task for each in told}) == len(told)
    return {each.task: (each.verdict.value, each.why) for each in told}


def test_before_the_first_run_only_what_needs_nothing_is_known(place: Place) -> None:
    assert plan(place, RETRAIN) == {
        "split": ("to do", "it was never done"),
        "fit": ("unknown yet", "split is to be done"),
        "ship": ("unknown yet", "fit is to be done"),
        "complain": ("unknown yet", "fit is to be done"),
    }
    assert not place.bench.done


def test_after_a_run_all_is_kept_and_a_change_is_told_where_it_is(place: Place) -> None:
    place.run(RETRAIN)
    kept = plan(place, RETRAIN)
    assert {name: verdict for name, (verdict, _) in kept.items()} == {
        "split": "kept",
        "fit": "kept",
        "ship": "kept",
        "complain": "skipped",
    }
    changed = plan(place, RETRAIN, {"depth": 5})
    assert changed["split"] == ("kept", "")
    assert changed["fit"] == ("to do", "the parameter depth: 4.0 -> 5.0, the pipeline's depth")
    place.bench.environment["code"] = "sha256:" + 64 * "0"
    assert plan(place, RETRAIN)["split"][1].startswith("the code of split: sha256:")


def test_what_failed_or_was_lost_is_to_be_done_again(place: Place) -> None:
    place.bench.fail("fit", times=1)
    run = place.run(RETRAIN)
    assert plan(place, RETRAIN)["fit"] == ("to do", "it failed last time")
    del place.results.results[next(key for key in place.results.results if key == run.tasks["split"].key)]
    assert plan(place, RETRAIN)["split"] == ("to do", "what it gave is not kept any more")


def test_what_is_forced_or_done_each_time_is_told_as_such(place: Place) -> None:
    place.run(RETRAIN)
    assert plan(place, RETRAIN, force=frozenset(["fit"]))["fit"] == ("to do", "it was asked for")
    each_time = graph(BODY[0], but(task("fit", x=output("split"), depth=argument("depth")), cached=False), **PARAMETERS)
    assert plan(place, each_time)["fit"] == ("to do", "it is done each time")


def test_what_cannot_be_done_is_told_without_doing_the_rest(place: Place) -> None:
    place.bench.identities["split"] = NotFoundError("no image trainer:1", "pull it")
    assert plan(place, RETRAIN)["split"] == ("fails", "no image trainer:1")
    assert plan(place, RETRAIN)["fit"] == ("fails", "split failed")


def test_a_loop_over_what_is_kept_is_told_round_by_round(place: Place) -> None:
    lists = step("list", outputs={"out": Port(type="list")})
    loop = for_each("l", output("list"), task("fit"))
    made = graph(task("list"), loop, task("tell", after=("l",)), steps=[lists])
    assert plan(place, made)["fit"] == ("unknown yet", "list is to be done")
    place.run(made, options=RunOptions(until=("list",)))
    assert [*plan(place, made)] == ["list", "fit[0]", "fit[1]", "tell"]
    assert plan(place, made, until=("list",))["tell"] == ("skipped", "it was not asked for")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(st.integers(0, 10**6))
def test_what_a_plan_says_is_what_a_run_does(tmp_path: Path, seed: int) -> None:
    place, made = Place(tmp_path / f"{seed}", MemoryBench()), written(seed)
    (tmp_path / f"{seed}").mkdir(exist_ok=True)
    for _ in range(2):
        told = plan(place, made)
        run = place.run(made)
        for name, (verdict, _) in told.items():
            if verdict == Verdict.KEPT:
                assert run.tasks[name].cached
            elif verdict == Verdict.SKIPPED:
                assert run.tasks[name].state is State.SKIPPED
            elif verdict == Verdict.TO_DO:
                assert run.tasks[name].key
    assert Verdict.TO_DO not in {verdict for verdict, _ in told.values()}


def test_a_plan_of_constants_is_known_as_far_as_it_goes(place: Place) -> None:
    made = graph(when("w", is_(constant(1), "==", 2), task("a")), task("b", x=output("a")))
    assert plan(place, made) == {"a": ("skipped", "1 == 2 does not hold"), "b": ("skipped", "a was skipped")}
