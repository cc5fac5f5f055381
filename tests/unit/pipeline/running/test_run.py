"""Runs: what is kept is not done again, what fails is tried again, and whatever breaks off goes on where it was."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiffin import progress
from tiffin.errors import ConfigError, FullError, NotFoundError, UnavailableError
from tiffin.pipeline.graph import Constant, Graph, Importer, Port, Retry, Step
from tiffin.pipeline.running.ledger import Event, Planned, RunEnded, TaskBegan, TaskEnded, begun
from tiffin.pipeline.running.means import RunOptions
from tiffin.pipeline.running.run import run_pipeline, stopped_by_signals
from tiffin.pipeline.running.runs import Run, RunState
from tiffin.pipeline.running.spots import State
from tiffin.pipeline.workbench import Ended
from unit.pipeline.graphs import (
    FILE,
    argument,
    but,
    constant,
    for_each,
    graph,
    group,
    is_,
    item,
    output,
    retried,
    status,
    step,
    task,
    when,
)
from unit.pipeline.memory_bench import Work
from unit.pipeline.ran import Place

INT = Port(type="int")
STEPS = [
    step("split", inputs={"rows": FILE}, outputs={"train": FILE, "test": FILE}),
    step("fit", inputs={"train": FILE, "depth": INT}, outputs={"model": Port(type="Model")}),
    step("evaluate", inputs={"model": Port(type="Model"), "test": FILE}),
]
SPLIT, FIT, EVALUATE = (
    task("split", rows=argument("rows")),
    task("fit", train=output("split", "train"), depth=argument("depth")),
    task("evaluate", model=output("fit", "model"), test=output("split", "test")),
)
RETRAIN = graph(
    SPLIT,
    FIT,
    EVALUATE,
    steps=STEPS,
    rows=Port(type="Dataset"),
    depth=Port(type="int", default=4),
    outputs={"accuracy": output("evaluate"), "model": output("fit", "model")},
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    return Place(tmp_path)


@pytest.fixture
def rows(place: Place) -> dict[str, Any]:
    return {"rows": str(place.folder.parent / "rows.csv")}


def states(run: Run) -> dict[str, State]:
    return {name: each.state for name, each in run.tasks.items()}


def done(run: Run) -> list[str]:
    """What was really done."""
    return sorted(name for name, each in run.tasks.items() if each.attempt)


# What is kept.


def test_a_pipeline_is_run_and_a_second_run_does_nothing(place: Place, rows: dict[str, Any]) -> None:
    first = place.run(RETRAIN, rows)
    assert first.state is RunState.SUCCEEDED
    assert done(first) == ["evaluate", "fit", "split"]
    assert first.outputs["accuracy"] == 0.5
    assert first.outputs["model"]["digest"] == first.tasks["fit"].artifacts["model"].digest
    second = place.run(RETRAIN, rows)
    assert done(second) == []
    assert all(each.cached and each.state is State.SUCCEEDED for each in second.tasks.values())
    assert second.outputs == first.outputs
    assert len(place.bench.done) == 3


def test_a_changed_parameter_does_again_what_depends_on_it_and_no_more(place: Place, rows: dict[str, Any]) -> None:
    place.run(RETRAIN, rows)
    assert done(place.run(RETRAIN, {**rows, "depth": 5})) == ["evaluate", "fit"]
    assert done(place.run(RETRAIN, {**rows, "depth": "5"})) == []


def test_new_data_is_known_by_its_content(place: Place, rows: dict[str, Any]) -> None:
    place.run(RETRAIN, rows)
    path = Path(rows["rows"])
    os.utime(path, (1, 1))
    assert done(place.run(RETRAIN, rows)) == []
    path.write_text("a,b\n3,4\n")
    assert done(place.run(RETRAIN, rows)) == ["evaluate", "fit", "split"]


def test_what_gives_the_same_as_before_ends_what_is_done_again(place: Place, rows: dict[str, Any]) -> None:
    place.bench.does["split"] = lambda work: work.give(train=b"always", test=b"these")
    place.run(RETRAIN, rows)
    Path(rows["rows"]).write_text("other\n")
    assert done(place.run(RETRAIN, rows)) == ["split"]


def test_an_argument_is_read_once_in_a_run_whoever_takes_it(place: Place, rows: dict[str, Any]) -> None:
    takes = [step(name, inputs={"rows": FILE}) for name in "ab"]
    made = graph(*(task(name, rows=argument("rows")) for name in "ab"), steps=takes, rows=FILE)
    place.run(made, rows)
    assert len(place.looked) == 1


def test_what_is_forced_is_done_whatever_is_kept(place: Place, rows: dict[str, Any]) -> None:
    place.run(RETRAIN, rows)
    assert done(place.run(RETRAIN, rows, RunOptions(force=frozenset(["fit"])))) == ["fit"]
    with pytest.raises(NotFoundError, match="no task nothing"):
        place.run(RETRAIN, rows, RunOptions(force=frozenset(["nothing"])))


@pytest.mark.parametrize("how", ["step", "task"])
def test_what_is_not_to_be_kept_is_done_each_time(place: Place, how: str) -> None:
    made = graph(task("a"), task("b", x=output("a")))
    if how == "step":
        made = msgspec.structs.replace(made, steps={**made.steps, "a": step("a", cached=False)})
    else:
        made = msgspec.structs.replace(made, body=(but(task("a"), cached=False), made.body[1]))
    assert done(place.run(made)) == ["a", "b"]
    assert done(place.run(made)) == ["a"]


def test_equal_keys_at_the_same_time_are_done_once(place: Place) -> None:
    held = place.bench.hold("fit")
    made = graph(for_each("l", constant([7, 7, 7, 8]), task("fit", x=item("l"))))
    runs: list[Run] = []
    thread = threading.Thread(target=lambda: runs.append(place.run(made, options=RunOptions(jobs=4))))
    thread.start()
    held.reached()
    held.open()
    thread.join()
    assert len(place.bench.done) == 2
    assert sorted(each.cached for each in runs[0].tasks.values()) == [False, False, True, True]
    assert set(states(runs[0]).values()) == {State.SUCCEEDED}


def test_only_so_many_at_once(place: Place) -> None:
    made = graph(for_each("l", constant(list(range(9))), task("fit", x=item("l"))))
    assert len(done(place.run(made, options=RunOptions(jobs=2)))) == 9
    assert place.bench.most_at_once <= 2


# Parts of a pipeline.


def test_until_a_task_is_all_that_it_needs(place: Place, rows: dict[str, Any]) -> None:
    run = place.run(RETRAIN, rows, RunOptions(until=("fit",)))
    assert done(run) == ["fit", "split"]
    assert run.tasks["evaluate"].why == "it was not asked for"
    assert run.state is RunState.SUCCEEDED


def test_of_only_a_task_the_rest_has_to_be_kept(place: Place, rows: dict[str, Any]) -> None:
    run = place.run(RETRAIN, rows, RunOptions(only=("fit",)))
    assert run.tasks["split"].why == "split is not kept, and was not asked for"
    assert "--until" in run.tasks["split"].hint
    assert done(run) == []
    place.run(RETRAIN, rows)
    assert done(place.run(RETRAIN, {**rows, "depth": 5}, RunOptions(only=("fit",)))) == ["fit"]


def test_arguments_that_do_not_fit_are_refused_before_anything_is_done(place: Place, rows: dict[str, Any]) -> None:
    for wrong, said in (
        ({}, "needs a value for rows"),
        ({**rows, "deep": 4}, "has no parameter 'deep'"),
        ({**rows, "depth": "x"}, "retrain's depth is 'x', and should be an int"),
        ({"rows": 4}, "retrain's rows is 4, and should be"),
    ):
        with pytest.raises(ConfigError, match=said):
            place.run(RETRAIN, wrong)
    assert not place.bench.done


# What fails.


def test_a_failure_keeps_what_depends_on_it_and_nothing_else(place: Place, rows: dict[str, Any]) -> None:
    place.bench.fail("fit", times=1)
    run = place.run(RETRAIN, rows)
    assert run.state is RunState.FAILED
    assert states(run) == {"split": State.SUCCEEDED, "fit": State.FAILED, "evaluate": State.BLOCKED}
    failed = run.tasks["fit"]
    assert (failed.exit_code, failed.why) == (1, "fit failed: exit code 1")
    assert failed.hint == "`tiffin pipeline logs fit` shows what it wrote"
    assert place.runs.logs(run.id, "fit")[0].read_text() == "fit fails as it should\n"
    assert place.heard == [("fit", "fit fails as it should")]
    assert done(place.run(RETRAIN, rows)) == ["evaluate", "fit"]


def test_what_failed_is_tried_again_after_longer_and_longer(place: Place) -> None:
    place.bench.fail("a", times=3)
    run = place.run(graph(retried(task("a"), 4, seconds=5)))
    assert run.state is RunState.SUCCEEDED
    assert run.tasks["a"].attempt == 4
    assert place.waited == [5, 10, 20]
    assert [path.name for path in place.runs.logs(run.id, "a")] == [f"a.{n}.log" for n in (1, 2, 3, 4)]


def test_the_time_before_another_attempt_has_an_end(place: Place) -> None:
    place.bench.fail("a")
    place.run(graph(but(task("a"), retry=Retry(count=40, seconds=5, factor=1e10, most=60))))
    assert place.waited == [5] + 39 * [60]


def test_what_fails_as_often_as_it_may_has_failed(place: Place) -> None:
    place.bench.fail("a", Ended(exit_code=137, reason="it was killed: memory"))
    run = place.run(graph(retried(task("a"), 2)))
    assert place.bench.attempts() == {"a": 3}
    assert (run.tasks["a"].why, run.tasks["a"].exit_code) == ("a failed: it was killed: memory", 137)


def test_a_step_that_took_too_long_is_told_so(place: Place) -> None:
    def late(_: Work) -> Ended:
        place.now += 61
        return Ended(exit_code=143)

    place.bench.does["a"] = late
    run = place.run(graph(but(task("a"), timeout=60)))
    assert run.tasks["a"].why == "a failed: it took longer than 60 s"
    assert place.bench.orders[0].seconds == 60


def test_an_engine_that_is_not_there_is_waited_for_only_where_that_may_help(place: Place) -> None:
    place.bench.fail("a", UnavailableError("no registry", "later"), times=1)
    place.bench.fail("b", ConfigError("no image", "write one"), times=1)
    run = place.run(graph(retried(task("a"), 1), retried(task("b"), 1)))
    assert states(run) == {"a": State.SUCCEEDED, "b": State.FAILED}
    assert (run.tasks["b"].why, run.tasks["b"].hint) == ("no image", "write one")


def test_what_a_step_did_not_write_is_its_failure(place: Place) -> None:
    place.bench.does["a"] = lambda _: Ended()
    run = place.run(graph(retried(task("a"), 1)))
    assert run.tasks["a"].state is State.FAILED
    assert place.bench.attempts() == {"a": 2}


def test_an_environment_that_cannot_be_had_fails_the_task(place: Place) -> None:
    place.bench.identities["a"] = NotFoundError("no image trainer:1", "pull it")
    run = place.run(graph(task("a"), task("b")))
    assert states(run) == {"a": State.FAILED, "b": State.SUCCEEDED}


def test_data_that_changes_while_it_is_read_is_named_and_nothing_is_kept_of_it(
    place: Place, rows: dict[str, Any]
) -> None:
    def meddle(work: Work) -> Ended:
        Path(rows["rows"]).write_text("others\n")
        return work.anything()

    place.bench.does["split"] = meddle
    run = place.run(RETRAIN, rows)
    assert run.tasks["split"].why == f"{rows['rows']} changed while split read it"
    assert place.results.kept == []


@pytest.mark.parametrize(
    ("last", "image", "hint"),
    [
        (
            "ModuleNotFoundError: No module named 'pandas.core'",
            "",
            "add what brings `pandas` to `[python] dependencies`",
        ),
        ("ModuleNotFoundError: No module named 'pandas'", "registry.test/others:1", "`tiffin pipeline logs a`"),
        ("it has No module named 'pandas'", "", "`tiffin pipeline logs a`"),
    ],
)
def test_a_step_that_lacks_a_module_is_told_how_to_have_it(place: Place, last: str, image: str, hint: str) -> None:
    def lacks(work: Work) -> Ended:
        for line in ("Traceback (most recent call last):", last, ""):
            work.said(line)
        return Ended(exit_code=1)

    place.bench.does["a"] = lacks
    does = msgspec.structs.replace(step("a").does, image=image)
    run = place.run(graph(task("a"), steps=[msgspec.structs.replace(step("a"), does=does)]))
    assert run.tasks["a"].hint.startswith(hint)


def test_what_is_done_regardless_is_done_after_a_failure_and_told_of_it(place: Place) -> None:
    tell = step("tell", inputs={"how": Port(type="status")})
    body = (
        group("all", task("a"), task("b", x=output("a"))),
        task("tell", after=("all",), regardless=True, how=status("all")),
    )
    place.bench.fail("a")
    run = place.run(graph(*body, steps=[tell]))
    assert run.tasks["tell"].state is State.SUCCEEDED
    assert place.bench.orders[-1].values == {"how": {"state": "FAILED", "error": "a: a failed: exit code 1"}}
    assert run.state is RunState.FAILED


def test_branches_and_loops_go_by_what_tasks_give(place: Place) -> None:
    tried = [3, 1, 2]
    place.bench.does["list"] = lambda work: work.give(out=tried)
    place.bench.does["best"] = lambda work: work.give(out=max(work["all"]))
    place.bench.does["fit"] = lambda work: work.give(out=work["x"] / 10)
    steps = [
        step("list", outputs={"out": Port(type="list")}),
        step("best", inputs={"all": Port(type="list")}),
    ]
    body = (
        task("list"),
        for_each("l", output("list"), task("fit", x=item("l")), parallel=2),
        task("best", all=output("fit")),
        when("w", is_(output("best"), ">", 0.2), task("ship"), otherwise=(task("complain"),)),
    )
    run = place.run(graph(*body, steps=steps))
    assert run.tasks["best"].values == {"out": 0.3}
    assert (run.tasks["ship"].state, run.tasks["complain"].state) == (State.SUCCEEDED, State.SKIPPED)
    tried.append(4)
    assert done(place.run(msgspec.structs.replace(_uncached(graph(*body, steps=steps))))) == ["best", "fit[3]", "list"]


def _uncached(made: Graph) -> Graph:
    return msgspec.structs.replace(made, body=(but(task("list"), cached=False), *made.body[1:]))


def test_an_importer_takes_what_lies_there(place: Place, rows: dict[str, Any]) -> None:
    imports = Step(
        name="import",
        does=Importer(uri=Constant(value=rows["rows"]), metadata={"from": "here"}),
        outputs={"artifact": FILE},
    )
    body = (task("import"), task("read", rows=output("import", "artifact")))
    run = place.run(graph(*body, steps=[imports, step("read", inputs={"rows": FILE})]))
    assert run.state is RunState.SUCCEEDED
    given = place.bench.orders[0].inputs["rows"][0]
    assert (given.uri, given.metadata, given.path) == (rows["rows"], {"from": "here"}, Path(rows["rows"]))


# What ends a run.


def test_a_run_that_is_stopped_stops_what_runs_and_goes_on_from_there_next_time(
    place: Place, rows: dict[str, Any]
) -> None:
    held, stopped = place.bench.hold("fit"), threading.Event()
    runs: list[Run] = []
    thread = threading.Thread(target=lambda: runs.append(place.run(RETRAIN, rows, stopped=stopped)))
    thread.start()
    held.reached()
    stopped.set()
    thread.join()
    run = runs[0]
    assert (run.state, run.why) == (RunState.STOPPED, "the run was stopped")
    assert states(run) == {"split": State.SUCCEEDED, "fit": State.STOPPED, "evaluate": State.STOPPED}
    held.open()
    assert done(place.run(RETRAIN, rows)) == ["evaluate", "fit"]


EXITING = graph(
    group("all", task("a"), task("b", x=output("a"))),
    task("tell", after=("all",), regardless=True, how=status("all")),
    steps=[step("tell", inputs={"how": Port(type="status")})],
)


def _stopped_at(place: Place, name: str, **options: Any) -> Run:
    """A run that is stopped while one of its tasks is being done."""
    held, stopped, runs = place.bench.hold(name), threading.Event(), list[Run]()
    options_ = RunOptions(**options)
    thread = threading.Thread(target=lambda: runs.append(place.run(EXITING, options=options_, stopped=stopped)))
    thread.start()
    held.reached()
    stopped.set()
    if options:
        thread.join()
    held.open()
    thread.join()
    return runs[0]


def test_what_is_done_on_exit_is_done_when_a_run_is_stopped_and_told_of_it(place: Place) -> None:
    run = _stopped_at(place, "a")
    assert states(run) == {"a": State.STOPPED, "b": State.STOPPED, "tell": State.SUCCEEDED}
    assert place.bench.orders[-1].values["how"]["state"] == "CANCELLED"
    assert run.state is RunState.STOPPED


def test_what_is_being_done_on_exit_goes_on_when_a_run_is_stopped(place: Place) -> None:
    run = _stopped_at(place, "tell")
    assert states(run) == dict.fromkeys(["a", "b", "tell"], State.SUCCEEDED)


def test_what_is_done_on_exit_is_stopped_in_the_end(place: Place) -> None:
    run = _stopped_at(place, "tell", exit_seconds=0.0)
    assert states(run)["tell"] is State.STOPPED
    assert run.state is RunState.STOPPED


def test_a_signal_stops_a_run_once_and_a_second_one_does_what_it_did_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stopped_by_signals() as stopped:
        signal.raise_signal(signal.SIGINT)
        assert stopped.is_set()
        assert signal.getsignal(signal.SIGINT) is before
    with stopped_by_signals() as stopped:
        assert not stopped.is_set()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interruption_stops_a_run_that_waits_for_its_steps(place: Place, rows: dict[str, Any]) -> None:
    held = place.bench.hold("fit")

    def interrupt() -> None:
        held.reached()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # to this thread: it does not wake the one that waits

    thread = threading.Thread(target=interrupt)
    thread.start()
    with stopped_by_signals() as stopped:
        run = place.run(RETRAIN, rows, stopped=stopped)
    thread.join()
    assert run.state is RunState.STOPPED
    assert run.tasks["fit"].state is State.STOPPED


def test_whoever_listens_to_a_ledger_hears_of_each_event_in_order(place: Place) -> None:
    heard: list[Event] = []
    made = graph(task("a"))
    with begun(place.folder, Planned(graph=made)) as ledger:
        ledger.told = heard.append
        run_pipeline(made, {}, place.means(), ledger)
    key, attempt, ended, last = heard
    assert isinstance(key, TaskBegan)
    assert isinstance(attempt, TaskBegan)
    assert isinstance(ended, TaskEnded)
    assert isinstance(last, RunEnded)
    assert (key.attempt, attempt.attempt, key.key) == (0, 1, ended.key)


def test_a_ledger_without_room_ends_the_run_and_what_was_kept_stays(place: Place, rows: dict[str, Any]) -> None:
    def full(event: Event) -> None:
        if isinstance(event, TaskEnded):
            raise FullError("no room in retrain", "make some")

    held = place.bench.hold("also")
    takes = [*STEPS, step("also")]
    made = msgspec.structs.replace(
        RETRAIN, body=(*RETRAIN.body, task("also")), steps={each.name: each for each in takes}
    )
    with begun(place.folder, Planned(graph=made)) as ledger:
        ledger.told = full
        with pytest.raises(FullError):
            run_pipeline(made, rows, place.means(), ledger, RunOptions(jobs=2))
    run = place.runs.read(ledger.run)
    assert (run.state, run.why) == (RunState.FAILED, "no room in retrain")
    assert run.tasks["also"].state is State.STOPPED
    held.open()
    assert done(place.run(made, rows)) == ["also", "evaluate", "fit"]


def test_a_failure_ends_a_run_that_is_to_fail_fast(place: Place) -> None:
    place.bench.fail("a")
    run = place.run(graph(task("a"), task("b"), task("c")), options=RunOptions(jobs=1, fail_fast=True))
    assert states(run) == {"a": State.FAILED, "b": State.BLOCKED, "c": State.BLOCKED}


def test_progress_tells_of_each_task_and_of_what_was_kept(place: Place) -> None:
    heard: list[progress.Event] = []
    place.bench.fail("b")
    with progress.listening(heard.append):
        place.run(graph(task("a"), task("b")))
        place.run(graph(task("a"), task("b"), task("c", x=output("b"))))
    ended = [each for each in heard if isinstance(each, progress.Finished)]
    assert sorted((each.detail, each.cached, each.failed) for each in ended) == [
        ("a", False, False),
        ("a", True, False),
        ("b", False, True),
        ("b", False, True),
    ]
    assert [each.message for each in heard if isinstance(each, progress.Noted)] == ["c is not done: b failed"]
