"""What a run needs of one machine, by what its steps say that they use, and how long it can take."""

from __future__ import annotations

import msgspec
import pytest

from tiffin.pipeline.graph import (
    Action,
    Branch,
    Constant,
    ForEach,
    Function,
    Graph,
    Item,
    Node,
    Resources,
    Retry,
    Step,
    Task,
    When,
)
from tiffin.pipeline.meaning.needs import is_bounded, longest, room_of

GB = 1 << 30


def graph(*body: Node, **resources: Resources) -> Graph:
    steps = {
        name: Step(name=name, does=Function(module="steps", name=name), resources=given)
        for name, given in resources.items()
    }
    steps["ship"] = Step(name="ship", does=Action(name="deploy"))
    return Graph(name="retrain", body=body, steps=steps)


def task(step: str, timeout: float = 0, retry: Retry | None = None, name: str = "") -> Task:
    return Task(name=name or step, step=step, timeout=timeout, retry=retry or Retry())


BODY = (task("fit"), task("judge"), task("ship"))
FIT, JUDGE = Resources(cpus=4, memory=8 * GB, gpus=1), Resources(cpus=1, memory=16 * GB)


def test_the_room_is_that_of_the_largest_step_or_of_as_many_as_run_at_once() -> None:
    both = graph(*BODY, fit=FIT, judge=JUDGE)
    assert room_of(both, 1) == Resources(cpus=4, memory=16 * GB, gpus=1)
    assert room_of(both, 2) == Resources(cpus=5, memory=24 * GB, gpus=1)
    assert room_of(both, 9) == room_of(both, 2)


def test_a_step_that_is_never_called_needs_nothing() -> None:
    assert room_of(graph(task("judge"), fit=FIT, judge=JUDGE), 2) == JUDGE


def test_memory_is_bounded_where_every_step_of_the_projects_has_a_limit() -> None:
    assert is_bounded(graph(*BODY, fit=FIT, judge=JUDGE))
    assert not is_bounded(graph(*BODY, fit=FIT, judge=Resources(cpus=1)))


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ((task("fit", 60), task("judge", 30)), 90),
        ((task("fit", 60), task("judge")), 0),
        ((task("fit", 60, Retry(count=2, seconds=10, factor=2)),), 3 * 60 + 10 + 20),
        ((task("fit", 60, Retry(count=3, seconds=10, factor=100, most=50)),), 4 * 60 + 10 + 50 + 50),
        (
            (
                When(
                    name="either",
                    branches=(Branch(name="a", body=(task("fit", 60),)), Branch(name="b", body=(task("judge", 90),))),
                ),
            ),
            90,
        ),
        ((ForEach(name="each", items=Constant(value=[1, 2, 3]), body=(task("fit", 60),)),), 180),
        ((ForEach(name="each", items=Constant(value=[]), body=(task("fit"),)),), 0),
        ((ForEach(name="each", items=Item(loop="outer"), body=(task("fit", 60),)),), 0),
    ],
)
def test_a_run_has_a_longest_time_where_every_task_and_every_loop_has_a_bound(
    body: tuple[Node, ...], seconds: float
) -> None:
    made = msgspec.structs.replace(graph(fit=FIT, judge=JUDGE), body=body)
    assert longest(made) == seconds
