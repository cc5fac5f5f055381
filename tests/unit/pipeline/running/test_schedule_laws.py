"""What holds of every schedule: the order in which things end changes nothing, and the work grows with the graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tiffin.pipeline.graph import Graph, Node, Port, Source, tasks_in
from tiffin.pipeline.running.schedule import Options, Ready
from tiffin.pipeline.running.spots import State
from unit.pipeline.graphs import (
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
from unit.pipeline.playing import Player

TAKES = {name: Port(type="float") for name in "xy"} | {"z": Port(type="float", optional=True), "all": Port(type="list")}
STEP = step("s", inputs=TAKES | {"how": Port(type="status", optional=True)})


def dice(seed: object) -> Random:
    """The same throws for the same seed."""
    return Random(f"{seed}")  # noqa: S311 - to be had again, not a secret


class Writer:
    """Writes random graphs in which everything refers to what was written before it, as a pipeline does."""

    def __init__(self, random: Random, most: int = 14) -> None:
        self.random, self.left, self.count = random, most, 0

    def graph(self) -> Graph:
        return graph(*self.body((), [], 0), steps=[STEP])

    def name(self, what: str) -> str:
        self.count += 1
        return f"{what}{self.count}"

    def body(self, loops: tuple[str, ...], seen: list[tuple[str, tuple[str, ...]]], depth: int) -> tuple[Node, ...]:
        """`seen` are the tasks so far, each with its loops."""
        made: list[Node] = []
        while self.left > 0 and self.random.random() < 0.95:
            self.left -= 1
            kind = self.random.choice(["task"] * 4 + (["when", "loop", "group"] if depth < 3 else []))
            before = list(seen)
            node: Node
            if kind == "task":
                node = self.task(loops, seen)
                seen.append((node.name, loops))
            elif kind == "when":
                condition = is_(self.source(loops, before) or constant(1.0), "<", 2.5)
                inner = self.body(loops, seen, depth + 1)
                node = when(self.name("w"), condition, *inner, otherwise=self.body(loops, seen, depth + 1))
            elif kind == "loop":
                name = self.name("l")
                items = constant([float(n) for n in range(self.random.randrange(4))])
                node = for_each(
                    name, items, *self.body((*loops, name), seen, depth + 1), parallel=self.random.randrange(3)
                )
            else:
                name = self.name("g")
                node = group(name, *self.body(loops, seen, depth + 1))
            made.append(node)
        return tuple(made)

    def task(self, loops: tuple[str, ...], seen: list[tuple[str, tuple[str, ...]]]) -> Any:
        taken = {name: self.source(loops, seen) or constant(1.0) for name in "xy"}
        if self.random.random() < 0.2 and seen:
            taken["z"] = first_of(*(self.one(loops, seen) or constant(2.0) for _ in range(2)))
        every = [name for name, around in seen if around[: len(loops)] == loops and len(around) > len(loops)]
        taken["all"] = output(self.random.choice(every)) if every and self.random.random() < 0.5 else constant([])
        after = tuple({self.random.choice(seen)[0] for _ in range(2)}) if seen and self.random.random() < 0.3 else ()
        regardless = bool(after) and self.random.random() < 0.5
        if regardless:
            taken["how"] = status(after[0])
        return task(self.name("t"), step="s", after=after, regardless=regardless, **taken)

    def source(self, loops: tuple[str, ...], seen: list[tuple[str, tuple[str, ...]]]) -> Source | None:
        if loops and self.random.random() < 0.3:
            return item(self.random.choice(loops))
        return self.one(loops, seen)

    def one(self, loops: tuple[str, ...], seen: list[tuple[str, tuple[str, ...]]]) -> Source | None:
        """Something of a task that gives one value here: it is in no loop that this is not in."""
        single = [name for name, around in seen if loops[: len(around)] == around]
        return output(self.random.choice(single)) if single and self.random.random() < 0.8 else None


def gives(seed: int) -> Callable[[Ready], Mapping[str, Any] | State]:
    """What a task gives, or that it fails, follows from its name and from nothing else."""

    def given_by(ready: Ready) -> Mapping[str, Any] | State:
        random = dice(f"{seed} {ready.name}")
        return State.FAILED if random.random() < 0.1 else {"out": random.choice([1.0, 2.0, 3.0])}

    return given_by


def written(seed: int) -> Graph:
    return Writer(dice(seed)).graph()


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_every_order_in_which_things_end_gives_the_same(seed: int, one: int, other: int) -> None:
    made = written(seed)
    plays = [Player(made, gives(seed)).play(dice(order).choice) for order in (one, other)]
    assert plays[0].states == plays[1].states
    assert plays[0].why == plays[1].why
    assert plays[0].taken == plays[1].taken
    assert plays[0].schedule.state == plays[1].schedule.state


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_everything_ends_and_nothing_before_what_it_comes_from(seed: int, order: int) -> None:
    made = written(seed)
    player = Player(made, gives(seed)).play(dice(order).choice)
    assert {name.partition("[")[0] for name in player.states} <= {each.name for each in made.tasks()}
    failed = State.FAILED in player.states.values()
    assert player.schedule.state is (State.FAILED if failed else State.SUCCEEDED)
    assert failed or State.BLOCKED not in player.states.values()


@given(st.integers(0, 10**6), st.integers(0, 30))
def test_a_run_that_is_stopped_ends_wherever_that_is(seed: int, after: int) -> None:
    player = Player(written(seed), gives(seed)).begin()
    for _ in range(after):
        if player.running:
            player.end(next(iter(player.running)))
    player.schedule.stop("interrupted")
    begun = len(player.begun)
    player.play()
    assert set(player.begun[begun:]) <= player.regardless


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_nothing_but_what_is_regardless_begins_after_the_first_failure_if_so_asked(seed: int, order: int) -> None:
    random, failed = dice(order), False
    player = Player(written(seed), gives(seed), options=Options(fail_fast=True)).begin()
    while player.running:
        before = len(player.begun)
        name = random.choice(list(player.running))
        player.end(name)
        failed = failed or player.states[name] is State.FAILED
        started = [player.schedule.outline.sites[each.partition("[")[0]].node for each in player.begun[before:]]
        assert not failed or all(getattr(node, "regardless", False) for node in started)


@given(st.integers(0, 10**6))
def test_what_is_needed_for_a_task_is_enough_for_it(seed: int) -> None:
    made = written(seed)
    whole = Player(made, gives(seed)).play()
    for each in list(tasks_in(made.body))[:3]:
        outline = whole.schedule.outline
        alone = Player(made, gives(seed), options=Options(wanted=outline.needed([each.name]))).play()
        of_it = [name for name in whole.states if name.partition("[")[0] == each.name]
        assert {name: alone.states[name] for name in of_it} == {name: whole.states[name] for name in of_it}


def layered(width: int, depth: int) -> Graph:
    """Tasks in layers, each taking from two of the layer before it."""
    body: list[Node] = []
    for layer in range(depth):
        for place in range(width):
            before = [f"t{layer - 1}-{(place + step) % width}" for step in (0, 1)] if layer else []
            takes = {f"x{n}": output(name) for n, name in enumerate(before)}
            body.append(task(f"t{layer}-{place}", step="first" if not layer else "later", **takes))
    return graph(*body)


def looped(rounds: int) -> Graph:
    """Two tasks in each of many rounds, and one that collects."""
    inner = (task("a"), task("b", x=output("a")))
    collects = step("c", inputs={"all": Port(type="list")})
    return graph(
        for_each("l", constant(list(range(rounds))), *inner, parallel=3), task("c", all=output("b")), steps=[collects]
    )


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called: time that no other program has a share in."""
    count = 0

    def called(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_the_work_grows_with_the_graph_and_not_with_its_square() -> None:
    for small, large in (
        (layered(10, 25), layered(10, 100)),
        (layered(25, 10), layered(100, 10)),
        (looped(100), looped(400)),
    ):
        few, many = (calls_of(lambda made=made: Player(made).play()) for made in (small, large))  # type: ignore[misc]
        assert many < 4.8 * few


def test_a_thousand_tasks_cost_a_few_hundred_calls_each() -> None:
    assert calls_of(lambda: Player(layered(10, 100)).play()) < 300 * 1000
