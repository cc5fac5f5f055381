"""What a task reads, or waits for, in a way that Kubeflow has no word for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tiffin.pipeline.graph import (
    Argument,
    Constant,
    FirstOf,
    ForEach,
    Graph,
    Node,
    Output,
    Part,
    Place,
    Source,
    Status,
    Text,
    When,
    tasks_in,
)
from tiffin.pipeline.kubeflow.layout import Layout, Scope, Spot, nodes_in
from tiffin.pipeline.kubeflow.problem import Problem
from tiffin.pipeline.kubeflow.refused_steps import MARK
from tiffin.pipeline.kubeflow.wiring import common_depth


def in_tasks(graph: Graph, layout: Layout) -> Iterator[Problem]:
    """Problems of the calls of steps, and of what comes after what."""
    for task in graph.tasks():
        spot = layout.spots[task.name]
        for name, source in task.inputs.items():
            yield from reading(source, spot, graph, layout, Reader(task=task.name, input=name, place=task.place))
            if isinstance(source, Status) and (not task.regardless or task.after != (source.of,)):
                yield _problem(task, f"only what runs however {source.of} ends can be told how it did", "on_exit it")
    regardless = {node.name for node in nodes_in(graph.body) if node.regardless}
    ended: dict[str, str] = {}
    for node in nodes_in(graph.body):
        yield from _waiting(node, layout, regardless)
        if node.regardless:
            yield from _regardless(node, layout, ended)
            yield from _reads_given(node, graph, layout)


class Reader:
    """Who reads: a task by one of its inputs, or a condition."""

    def __init__(self, task: str, input: str, place: Place) -> None:  # noqa: A002 - that is what it is
        self.said = f"{task} reads" if not input else f"{task} reads as its {input}"
        self.place = place

    def problem(self, what: str, hint: str) -> Problem:
        """A problem of what it reads."""
        return Problem(message=f"{self.said} {what}", hint=hint, place=self.place)


def reading(source: Source, spot: Spot, graph: Graph, layout: Layout, reader: Reader) -> Iterator[Problem]:
    """Problems of a source for whoever reads it."""
    match source:
        case Constant(value=value):
            yield from _constant(value, reader)
        case Output(task=task):
            yield from _out_of_branch(layout.spots[task], spot, reader)
        case FirstOf():
            yield from _first_of(source, spot, layout, reader)
        case Argument(name=name):
            yield from _missing(name, spot, graph, reader)
        case Part(of=of):
            yield from reading(of, spot, graph, layout, reader)
            yield from _part(of, spot, layout, reader)
        case Text(pieces=pieces):
            sources = (Constant(value=piece) if isinstance(piece, str) else piece for piece in pieces)
            yield from chain.from_iterable(reading(one, spot, graph, layout, reader) for one in sources)


def _part(of: Source, spot: Spot, layout: Layout, reader: Reader) -> Iterator[Problem]:
    if isinstance(of, Output) and any(scope.kind == "loop" for scope in _left(layout.spots[of.task], spot)):
        yield reader.problem("a part of what several rounds give", "take it apart in a step")


def _constant(value: object, reader: Reader) -> Iterator[Problem]:
    if isinstance(value, str) and MARK in value:
        yield reader.problem(f"a text that Kubeflow takes for a placeholder: {value!r}", f"write it without {MARK}")


def _missing(name: str, spot: Spot, graph: Graph, reader: Reader) -> Iterator[Problem]:
    port = graph.parameters[name]
    if port.is_parameter and port.optional and port.default is None and len(spot.around) > 1:
        what = f"{name} within a branch, loop or group, into which Kubeflow hands no missing value"
        yield reader.problem(what, f"give the pipeline's {name} a default")


def in_outputs(graph: Graph, layout: Layout) -> Iterator[Problem]:
    """Problems of what the pipeline gives."""
    for name, source in graph.outputs.items():
        reader = Reader(task=f"the output {name} of {graph.name}", input="", place=graph.place)
        if not isinstance(source, Output | FirstOf):
            yield reader.problem("no task's output", "give what a step gives")
        else:
            yield from reading(source, Spot(name="", around=(layout.root,)), graph, layout, reader)


def _out_of_branch(maker: Spot, reader_spot: Spot, reader: Reader) -> Iterator[Problem]:
    if any(scope.kind == "branch" for scope in _left(maker, reader_spot)):
        what = f"what {maker.name} gives, which is not there where its branch is not taken"
        yield reader.problem(what, "have every branch give it and read first_of(…), or read it within the branch")


def _first_of(source: FirstOf, spot: Spot, layout: Layout, reader: Reader) -> Iterator[Problem]:
    outputs = [one for one in source.sources if isinstance(one, Output)]
    hint = "write one output of each branch, `otherwise` among them"
    if len(outputs) < len(source.sources) or not outputs:
        yield reader.problem("the first of what are no tasks' outputs", hint)
        return
    makers = [layout.spots[one.task] for one in outputs]
    depth = min(common_depth(makers[0], maker) for maker in makers)
    choice = makers[0].around[depth]
    if choice.kind != "branches":
        yield reader.problem("the first of what are not branches of one choice", hint)
        return
    taken = sorted(maker.part_in(depth) for maker in makers)
    all_of = sorted(part.name for part in choice.parts)
    inner = [scope for maker in makers for scope in maker.around[depth + 2 :]]
    if taken != all_of or _open(choice):
        yield reader.problem("the first of branches that might all be left out", hint)
    elif any(scope.kind in {"branch", "loop"} for scope in inner):
        yield reader.problem("the first of what is in branches or loops within branches", hint)
    else:
        yield from _out_of_branch(Spot(name=choice.name, around=makers[0].around[:depth]), spot, reader)


def _open(choice: Scope) -> bool:
    """Say whether none of a choice's branches may be taken: where the last has a condition of its own."""
    last = choice.parts[-1]
    return isinstance(last, Scope) and len(last.tests) == len(choice.parts)


def _left(maker: Spot, reader: Spot) -> tuple[Scope, ...]:
    """The scopes around the one that are not around the other."""
    return maker.around[common_depth(maker, reader) + 1 :]


def _waiting(node: Node, layout: Layout, regardless: set[str]) -> Iterator[Problem]:
    for name in node.after:
        if any(scope.kind == "branch" for scope in _left(layout.spots[name], layout.spots[node.name])):
            message = f"it comes after {name}, which does not run where its branch is not taken"
            yield _problem(node, message, "have it come after the whole choice")
        if name in regardless:
            message = f"it comes after {name}, which Kubeflow runs as the last thing of all"
            yield _problem(node, message, "do it in the same step")


def _regardless(node: Node, layout: Layout, ended: dict[str, str]) -> Iterator[Problem]:
    """Kubeflow hangs what runs regardless on the end of one task or group, and one of them only."""
    if isinstance(node, When | ForEach):
        yield _problem(node, "Kubeflow runs no branch or loop regardless of what went before", "put it in a group")
    spot = layout.spots[node.name]
    awaited = {layout.spots[name].name: name for name in node.after if layout.spots[name].around == spot.around}
    if len(awaited) != 1 or len(node.after) != 1:
        what = "Kubeflow runs a step regardless of one task or group of the same body"
        yield _problem(node, what, "group them: `with on_exit(…):`")
        return
    ((part, name),) = awaited.items()
    if part.startswith("for-loop-"):
        yield _problem(node, f"Kubeflow forgets what runs regardless of a loop ({name})", "put the loop in a group")
    other = ended.setdefault(part, node.name)
    if other != node.name:
        message = f"Kubeflow runs one step at the end of {name}, and {other} is that"
        yield _problem(node, message, "do both in one step")


def _reads_given(node: Node, graph: Graph, layout: Layout) -> Iterator[Problem]:
    """Kubeflow would run it at the end of each task that it reads from, too, which may have given nothing."""
    inside = {task.name for task in tasks_in((node,))}
    awaited = {layout.spots[name].name for name in node.after}
    for task in tasks_in((node,)):
        for name, source in task.inputs.items():
            if isinstance(source, Argument) and not graph.parameters[source.name].is_parameter:
                what = f"what runs regardless reads {source.name}, which is imported by another task"
                yield _problem(task, what, "give it the address, as a `str` of the pipeline")
            may_miss = graph.steps[task.step].inputs[name].optional
            for maker in set(_makers(source)) - inside:
                if not (may_miss and layout.spots[maker].name in awaited):
                    what = f"what runs regardless reads what {maker} gives, which may not be there"
                    yield _problem(task, what, f"give {name} a value, or an argument of the pipeline")


def _makers(source: Source) -> Iterator[str]:
    """The tasks that give what a source is made of."""
    if isinstance(source, Output):
        yield source.task
    elif isinstance(source, Part):
        yield from _makers(source.of)
    elif isinstance(source, FirstOf | Text):
        for one in source.sources if isinstance(source, FirstOf) else source.pieces:
            yield from () if isinstance(one, str) else _makers(one)


def _problem(node: Node, message: str, hint: str) -> Problem:
    return Problem(message=f"{node.name}: {message}", hint=hint, place=node.place)
