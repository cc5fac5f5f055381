"""Short words for graphs, so that a test reads as the pipeline does."""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin.pipeline.graph import (
    Argument,
    Branch,
    Compare,
    Condition,
    Constant,
    FirstOf,
    ForEach,
    Function,
    Graph,
    Group,
    Item,
    Node,
    Operator,
    Output,
    Port,
    Retry,
    Source,
    Status,
    Step,
    Task,
    When,
)

VALUE, FILE = Port(type="float"), Port(type="Dataset")


def argument(name: str) -> Argument:
    return Argument(name=name)


def output(task: str, name: str = "out") -> Output:
    return Output(task=task, name=name)


def constant(value: Any) -> Constant:
    return Constant(value=value)


def item(loop: str) -> Item:
    return Item(loop=loop)


def status(of: str) -> Status:
    return Status(of=of)


def first_of(*sources: Source) -> FirstOf:
    return FirstOf(sources=sources)


def task(name: str, step: str = "", *, after: tuple[str, ...] = (), regardless: bool = False, **inputs: Source) -> Task:
    """A call of the step of its own name, if it does not say another; `retries` and `cached` are changed by `but`."""
    return Task(name=name, step=step or name, after=after, inputs=inputs, regardless=regardless)


def but(task: Task, **changed: Any) -> Task:
    return msgspec.structs.replace(task, **changed)


def retried(task: Task, count: int, seconds: float = 0.0) -> Task:
    return but(task, retry=Retry(count=count, seconds=seconds))


def is_(left: Source, operator: Operator, right: Any) -> Compare:
    return Compare(left=left, operator=operator, right=Constant(value=right))


def when(name: str, condition: Condition, *body: Node, otherwise: tuple[Node, ...] = ()) -> When:
    """A branch `NAME-1`, and `NAME-2` for what is done otherwise."""
    branches = [Branch(name=f"{name}-1", condition=condition, body=body)]
    if otherwise:
        branches.append(Branch(name=f"{name}-2", body=otherwise))
    return When(name=name, branches=tuple(branches))


def for_each(name: str, items: Source, *body: Node, parallel: int = 0) -> ForEach:
    return ForEach(name=name, items=items, body=body, parallel=parallel)


def group(name: str, *body: Node, after: tuple[str, ...] = ()) -> Group:
    return Group(name=name, body=body, after=after)


def step(
    name: str, *, inputs: dict[str, Port] | None = None, outputs: dict[str, Port] | None = None, **more: Any
) -> Step:
    """A function that gives a number `out`, if it does not say otherwise."""
    return Step(
        name=name,
        does=Function(module="pipeline", name=name),
        inputs=inputs or {},
        outputs={"out": VALUE} if outputs is None else outputs,
        **more,
    )


def graph(
    *body: Node, steps: list[Step] | None = None, outputs: dict[str, Source] | None = None, **ports: Port
) -> Graph:
    """A pipeline of these; a step that is not given takes numbers and gives one, and `ports` are its parameters."""
    known = {each.name: each for each in steps or ()}
    made = Graph(name="retrain", body=body, parameters=ports, outputs=outputs or {})
    for each in made.tasks():
        if each.step not in known:
            known[each.step] = step(each.step, inputs=dict.fromkeys(each.inputs, VALUE))
    return msgspec.structs.replace(made, steps=known)
