"""Schedules: what may begin when, what is left out and why, and how it all ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from tiffin.errors import ConfigError
from tiffin.pipeline.graph import Part, Place, Port, Text
from tiffin.pipeline.meaning.outline import Outline
from tiffin.pipeline.running.schedule import Options, Ready
from tiffin.pipeline.running.spots import State
from unit.pipeline.graphs import (
    argument,
    but,
    constant,
    first_of,
    for_each,
    graph,
    group,
    is_,
    item,
    output,
    status,
    step,
    task,
    when,
)
from unit.pipeline.playing import Player, failing

SUCCEEDED, FAILED, SKIPPED, BLOCKED = State.SUCCEEDED, State.FAILED, State.SKIPPED, State.BLOCKED
CHAIN = (task("split"), task("fit", x=output("split")), task("evaluate", x=output("fit")))
MANY = Port(type="list")


def test_what_needs_nothing_begins_at_once_in_the_order_that_it_was_written() -> None:
    player = Player(graph(task("b"), task("a"), task("c", x=output("a")))).begin()
    assert list(player.running) == ["b", "a"]
    assert list(player.end("a").running) == ["b", "c"]
    assert player.taken["c"] == {"x": 1.0}


def test_after_is_an_order_without_a_value() -> None:
    player = Player(graph(task("a"), task("b", after=("a",)))).begin()
    assert list(player.running) == ["a"]
    assert player.play().begun == ["a", "b"]


def test_what_depends_on_a_failure_is_not_done_and_all_else_is() -> None:
    player = Player(graph(*CHAIN, task("other"), task("more", x=output("other"))), failing("split")).play()
    assert player.states == {
        "split": FAILED,
        "fit": BLOCKED,
        "evaluate": BLOCKED,
        "other": SUCCEEDED,
        "more": SUCCEEDED,
    }
    assert player.why["evaluate"] == "split failed"
    assert player.schedule.state is FAILED


def test_nothing_begins_after_a_failure_that_is_to_be_the_last() -> None:
    body = (task("a"), task("b"), task("c", x=output("b")), task("tell", after=("b", "c"), regardless=True))
    player = Player(graph(*body), failing("a"), options=Options(fail_fast=True)).begin()
    player.end("a").end("b")
    assert player.states["c"] is BLOCKED
    assert player.why["c"] == "a failed, and nothing more was to begin by then"
    assert player.play().states["tell"] is SUCCEEDED


def test_what_stands_in_something_regardless_begins_after_a_failure_that_is_to_be_the_last() -> None:
    clean = msgspec.structs.replace(
        group("clean", task("tell"), task("sweep", x=output("tell")), after=("a",)), regardless=True
    )
    player = Player(graph(task("a"), clean, task("b", after=("clean",))), failing("a"), options=Options(fail_fast=True))
    player.play()
    assert player.begun == ["a", "tell", "sweep"]
    assert player.states["b"] is BLOCKED


def test_what_is_ready_when_something_fails_does_not_begin_either() -> None:
    schedule = Player(graph(task("a"), task("b")), options=Options(fail_fast=True)).schedule
    assert schedule.begin()
    schedule.end("a", FAILED)
    assert schedule.begin() is None
    assert schedule.over


def test_a_run_that_is_stopped_begins_nothing_more_but_what_is_done_regardless() -> None:
    def gives(ready: Ready) -> Mapping[str, Any] | State:
        return {"out": 1.0} if ready.regardless else State.STOPPED

    told = group("telling", task("tell"), task("more", after=("tell",)), after=("all",))
    body = (group("all", *CHAIN), but(told, regardless=True), task("next", after=("all",)))
    player = Player(graph(*body), gives)
    player.begin().schedule.stop("interrupted")
    player.play()
    assert player.begun[-2:] == ["tell", "more"]
    assert {name for name, state in player.states.items() if state is SUCCEEDED} == {"tell", "more"}
    assert player.states["next"] is State.STOPPED
    assert player.schedule.state is State.STOPPED


# Branches.


def test_the_first_branch_that_holds_is_taken_and_no_other() -> None:
    body = (
        task("score"),
        when("w", is_(output("score"), ">", 0.5), task("ship"), otherwise=(task("complain"),)),
    )
    player = Player(graph(*body)).play()
    assert player.states == {"score": SUCCEEDED, "ship": SUCCEEDED, "complain": SKIPPED}
    assert player.why["complain"] == "w-1 was done instead"
    player = Player(graph(*body), lambda _: {"out": 0.1}).play()
    assert player.why["ship"] == "score.out > 0.5 does not hold"
    assert player.states["complain"] is SUCCEEDED
    assert player.schedule.state is SUCCEEDED


def test_all_that_stands_in_a_branch_that_is_not_taken_is_skipped_once() -> None:
    inner = (
        task("a"),
        group("g", task("b", x=output("a"))),
        for_each("l", constant([1, 2]), task("c"), for_each("m", constant([1]), task("d"))),
        when("v", is_(output("a"), ">", 0), task("e")),
    )
    player = Player(graph(when("w", is_(constant(1), "==", 2), *inner))).play()
    assert player.begun == []
    assert player.states == dict.fromkeys("abcde", SKIPPED)


def test_what_takes_something_that_was_skipped_is_skipped_and_what_is_behind_it_too() -> None:
    body = (when("w", is_(constant(1), "==", 2), task("a")), task("b", x=output("a")), task("c", after=("b",)))
    player = Player(graph(*body)).play()
    assert player.states == dict.fromkeys("abc", SKIPPED)
    assert player.why["c"] == "b was skipped"
    assert player.schedule.state is SUCCEEDED


def test_the_first_that_is_there_is_taken() -> None:
    body = (
        when("w", is_(argument("n"), "==", 1), task("a"), otherwise=(task("b"),)),
        task("c", x=first_of(output("a"), output("b"))),
        task("d", x=first_of(output("a"))),
    )
    for n, taken in ((1, "a"), (2, "b")):
        player = Player(graph(*body), lambda ready: {"out": float(ord(ready.name))}, arguments={"n": n}).play()
        assert player.taken["c"] == {"x": ord(taken)}
    assert player.states["d"] is SKIPPED
    assert player.why["d"] == "none of a.out is there"


def test_what_may_be_away_stays_away_when_it_was_skipped_but_not_when_it_failed() -> None:
    takes = step("b", inputs={"x": Port(type="float", optional=True), "y": Port(type="float", default=7)})
    body = (when("w", is_(argument("n"), "==", 1), task("a")), task("b", x=output("a"), y=output("a")))
    player = Player(graph(*body, steps=[takes]), arguments={"n": 2}).play()
    assert player.taken["b"] == {"y": 7.0}
    assert Player(graph(*body, steps=[takes]), failing("a"), arguments={"n": 1}).play().states["b"] is BLOCKED


def test_a_condition_that_means_nothing_fails_with_its_line_and_what_is_in_it_is_not_done() -> None:
    bad = but(when("w", is_(output("a"), ">", "x"), task("b"), task("c")), place=Place(file="pipeline.py", line=9))
    player = Player(graph(task("a"), bad, task("d", after=("w",)))).play()
    assert player.states == {"a": SUCCEEDED, "w": FAILED, "b": BLOCKED, "c": BLOCKED, "d": BLOCKED}
    assert player.why["w"].startswith("pipeline.py:9: `a.out > 'x'` compares a float (1) with a str")
    assert player.schedule.state is FAILED


def test_a_condition_on_what_failed_is_not_decided() -> None:
    player = Player(graph(task("a"), when("w", is_(output("a"), ">", 0), task("b"))), failing("a")).play()
    assert player.states == {"a": FAILED, "b": BLOCKED}


# Loops.


def test_a_loop_goes_over_a_list_and_what_its_rounds_give_is_collected_in_order() -> None:
    fits = step("fit", inputs={"depth": Port(type="int")})
    best = step("best", inputs={"all": MANY})
    body = (for_each("l", constant([1, 2, 3]), task("fit", depth=item("l"))), task("best", all=output("fit")))
    player = Player(graph(*body, steps=[fits, best]), lambda ready: {"out": ready.values.get("depth", 0)})
    player.begin()
    assert list(player.running) == ["fit[0]", "fit[1]", "fit[2]"]
    player.play(lambda names: names[-1])
    assert player.taken["best"] == {"all": [1, 2, 3]}


def test_a_loop_goes_over_what_a_task_gives_and_over_parts_of_it() -> None:
    makes = step("makes", outputs={"out": MANY})
    item_x = Part(of=item("l"), path=("x",))
    body = (task("makes"), for_each("l", output("makes"), task("fit", d=item_x, n=Text(pieces=("n", item_x)))))
    fits = step("fit", inputs={"d": Port(type="int"), "n": Port(type="str")})
    player = Player(graph(*body, steps=[makes, fits]), lambda _: {"out": [{"x": 4}, {"x": 5}]}).play()
    assert [player.taken[f"fit[{n}]"] for n in (0, 1)] == [{"d": 4, "n": "n4"}, {"d": 5, "n": "n5"}]


def test_loops_within_loops_have_an_index_each_and_collect_lists_of_lists() -> None:
    both = task("fit", x=item("l"), y=item("m"))
    body = (
        for_each("l", constant([1, 2]), for_each("m", constant([10, 20]), both), task("row", all=output("fit"))),
        task("whole", all=output("fit")),
    )
    steps = [step("row", inputs={"all": MANY}), step("whole", inputs={"all": MANY})]
    player = Player(
        graph(*body, steps=steps), lambda ready: {"out": sum(ready.values.values()) if ready.task.name == "fit" else 0}
    )
    player.play()
    assert player.begun[:4] == ["fit[0,0]", "fit[0,1]", "fit[1,0]", "fit[1,1]"]
    assert player.taken["row[1]"] == {"all": [12, 22]}
    assert player.taken["whole"] == {"all": [[11, 21], [12, 22]]}


def test_artifacts_of_loops_within_loops_come_one_after_another() -> None:
    takes = step("takes", inputs={"all": Port(type="Dataset", many=True), "one": Port(type="Dataset")})
    gives = step("fit", outputs={"out": Port(type="Dataset")})
    body = (
        for_each("l", constant([1, 2]), for_each("m", constant([1, 2]), task("fit"))),
        task("made", step="fit"),
        task("takes", all=output("fit"), one=output("made")),
    )
    player = Player(graph(*body, steps=[takes, gives]), lambda ready: {"out": ready.name}).play()
    assert player.taken["takes"] == {"all": ("fit[0,0]", "fit[0,1]", "fit[1,0]", "fit[1,1]"), "one": ("made",)}


def test_several_artifacts_for_one_are_refused() -> None:
    takes = step("takes", inputs={"one": Port(type="Dataset")})
    body = (for_each("l", constant([1, 2]), task("fit")), task("takes", one=output("fit")))
    player = Player(graph(*body, steps=[takes])).play()
    assert player.why["takes"] == "the input one of takes is 2 artifacts, and it takes one"


@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_so_many_rounds_at_once_and_no_more(parallel: int) -> None:
    round_ = (task("a"), task("b", x=output("a")))
    player = Player(graph(for_each("l", constant(list(range(7))), *round_, parallel=parallel))).play()
    assert player.most_at_once == parallel
    assert len(player.begun) == 14


def test_a_loop_over_nothing_has_ended_and_collects_nothing() -> None:
    body = (for_each("l", constant([]), task("fit")), task("best", all=output("fit")))
    player = Player(graph(*body, steps=[step("best", inputs={"all": MANY})])).play()
    assert player.taken == {"best": {"all": []}}


def test_rounds_that_were_skipped_are_not_in_what_is_collected_and_one_that_failed_hinders() -> None:
    body = (
        for_each("l", constant([1, 2, 3]), when("w", is_(item("l"), "!=", 2), task("fit", x=item("l")))),
        task("best", all=output("fit")),
    )
    made = graph(*body, steps=[step("best", inputs={"all": MANY})])
    player = Player(made, lambda ready: {"out": ready.values.get("x", 0)}).play()
    assert player.taken["best"] == {"all": [1.0, 3.0]}
    assert player.states["fit[1]"] is SKIPPED
    assert Player(made, failing("fit[0]")).play().why["best"] == "fit[0] failed"


def test_what_another_task_of_a_loop_failed_at_does_not_hinder_who_collects() -> None:
    body = (for_each("l", constant([1, 2]), task("fit"), task("draw")), task("best", all=output("fit")))
    player = Player(graph(*body, steps=[step("best", inputs={"all": MANY})]), failing("draw")).play()
    assert player.states["best"] is SUCCEEDED
    assert player.schedule.state is FAILED


def test_a_loop_over_what_is_no_list_fails_with_what_it_is() -> None:
    body = (task("a"), for_each("l", output("a"), task("fit")), task("best", x=output("fit")))
    player = Player(graph(*body)).play()
    assert player.states == {"a": SUCCEEDED, "l": FAILED, "fit": BLOCKED, "best": BLOCKED}
    assert player.why["l"] == "l goes over a.out, which is a float"
    assert player.why["best"] == "l failed"


def test_a_part_that_is_not_there_fails_who_takes_it() -> None:
    player = Player(graph(task("a"), task("b", x=Part(of=output("a"), path=("k", 0))))).play()
    assert player.why["b"] == "a.out['k'][0] is not there: a.out is a float, 1"


def test_a_value_of_another_type_fails_who_takes_it() -> None:
    player = Player(graph(task("a"), task("b", x=output("a"))), lambda _: {"out": "text"}).play()
    assert player.why["b"].startswith("the parameter x of b is a str, 'text', and should be a float")


# Groups, what is done regardless, and status.


def test_what_is_done_regardless_is_done_when_all_before_it_has_ended_and_told_how() -> None:
    tell = step("tell", inputs={"how": Port(type="status")})
    body = (group("all", *CHAIN), task("tell", after=("all",), regardless=True, how=status("all")))
    player = Player(graph(*body, steps=[tell]), failing("fit")).play()
    assert player.states["tell"] is SUCCEEDED
    assert player.taken["tell"] == {"how": {"state": "FAILED", "error": "fit: exit code 1"}}
    assert player.schedule.state is FAILED
    player = Player(graph(*body, steps=[tell])).play()
    assert player.taken["tell"] == {"how": {"state": "SUCCEEDED", "error": ""}}


def test_what_is_done_regardless_goes_without_what_is_not_there_where_it_may() -> None:
    may = step("tell", inputs={"x": Port(type="float", optional=True)})
    body = (task("a"), task("tell", after=("a",), regardless=True, x=output("a")))
    assert Player(graph(*body, steps=[may]), failing("a")).play().taken["tell"] == {}
    must = step("tell", inputs={"x": Port(type="float")})
    assert Player(graph(*body, steps=[must]), failing("a")).play().states["tell"] is BLOCKED


def test_the_status_of_a_task_in_a_loop_is_that_of_its_worst_round() -> None:
    tell = step("tell", inputs={"how": Port(type="status")})
    body = (
        for_each("l", constant([1, 2, 3]), task("fit")),
        task("tell", after=("l",), regardless=True, how=status("fit")),
    )
    player = Player(graph(*body, steps=[tell]), failing("fit[1]")).play()
    assert player.taken["tell"] == {"how": {"state": "FAILED", "error": "exit code 1"}}


def test_a_group_that_comes_after_something_does_not_begin_before() -> None:
    player = Player(graph(task("a"), group("g", task("b"), after=("a",)), task("c", after=("g",)))).begin()
    assert list(player.running) == ["a"]
    assert player.play().begun == ["a", "b", "c"]
    assert Player(graph(task("a"), group("g", task("b"), after=("a",))), failing("a")).play().states["b"] is BLOCKED


# Parts of a graph, plans, and knots.


def test_only_what_is_wanted_is_done() -> None:
    made = graph(*CHAIN, task("other"))
    wanted = Outline(made).needed(["fit"])
    assert wanted == {"split", "fit"}
    player = Player(made, options=Options(wanted=wanted)).play()
    assert player.begun == ["split", "fit"]
    assert player.why["other"] == "it was not asked for"
    assert player.schedule.state is SUCCEEDED


def test_what_is_needed_has_what_conditions_and_lists_of_what_is_around_it_come_from() -> None:
    body = (
        task("score"),
        task("list"),
        task("before"),
        when("w", is_(output("score"), ">", 0), for_each("l", output("list"), task("fit"), task("draw"))),
        group("g", task("x"), task("y"), after=("before",)),
    )
    outline = Outline(graph(*body))
    assert outline.needed(["fit"]) == {"score", "list", "fit"}
    assert outline.needed(["l"]) == {"score", "list", "fit", "draw"}
    assert outline.needed(["w-1"]) == {"score", "list", "fit", "draw"}
    assert outline.needed(["y"]) == {"before", "y"}


def test_what_depends_on_something_that_is_still_to_be_done_is_unknown_in_a_plan() -> None:
    tell = step("tell", inputs={"how": Port(type="status")})
    body = (
        *CHAIN,
        when("w", is_(output("fit"), ">", 0), task("ship")),
        for_each("l", output("fit"), task("draw")),
        task("other"),
        task("tell", after=("fit",), regardless=True, how=status("fit")),
    )

    def gives(ready: Ready) -> dict[str, float] | State:
        return State.UNKNOWN if ready.name == "fit" else {"out": 1.0}

    player = Player(graph(*body, steps=[tell]), gives).play()
    known = {name for name, state in player.states.items() if state is SUCCEEDED}
    assert known == {"split", "other"}
    assert {player.states[name] for name in ("evaluate", "ship", "draw", "tell")} == {State.UNKNOWN}
    assert player.why["evaluate"] == "fit is to be done"


def test_tasks_that_wait_for_each_other_are_told_of() -> None:
    body = (for_each("l", constant([1]), task("a"), task("b", x=output("c"))), task("c", x=output("a")))
    player = Player(graph(*body)).begin()
    with pytest.raises(ConfigError, match=r"retrain cannot go on: b\[0\], c wait for each other"):
        player.end("a[0]")


def test_what_the_pipeline_gives_is_what_was_made_of_it() -> None:
    made = graph(
        *CHAIN,
        when("w", is_(constant(1), "==", 2), task("no")),
        outputs={"a": output("fit"), "b": output("no"), "c": Part(of=output("fit"), path=("x",))},
    )
    assert Player(made).begin().schedule.outputs() == {}
    assert Player(made).play().schedule.outputs() == {"a": 1.0}
