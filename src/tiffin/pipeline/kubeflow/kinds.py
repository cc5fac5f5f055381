"""Of what type a source is, as far as it was written down; what a list holds is known by who reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiffin.pipeline.graph import (
    Argument,
    Compare,
    Condition,
    Constant,
    FirstOf,
    ForEach,
    Graph,
    Item,
    Node,
    Not,
    Output,
    Part,
    Port,
    Source,
    Status,
    Task,
    When,
)
from tiffin.pipeline.kubeflow.layout import nodes_in

PARAMETER = {
    "int": "NUMBER_INTEGER",
    "float": "NUMBER_DOUBLE",
    "str": "STRING",
    "bool": "BOOLEAN",
    "list": "LIST",
    "dict": "STRUCT",
    "status": "TASK_FINAL_STATUS",
}
"""What Kubeflow calls the types of parameters."""

ARTIFACTS = (
    "Artifact",
    "Dataset",
    "Model",
    "Metrics",
    "ClassificationMetrics",
    "SlicedClassificationMetrics",
    "HTML",
    "Markdown",
)
"""Types of artifacts that Kubeflow's pages know; any other is an artifact to them."""


def schema(kind: str) -> dict[str, str]:
    """An artifact's type as Kubeflow names it; one with a dot has a schema of its own (`google.VertexModel`)."""
    title = kind if "." in kind else f"system.{kind if kind in ARTIFACTS else 'Artifact'}"
    return {"schemaTitle": title, "schemaVersion": "0.0.1"}


def of_value(value: Any) -> str:
    """The type of a value that was written down."""
    names = {bool: "bool", int: "int", float: "float", str: "str", list: "list", tuple: "list", dict: "dict"}
    return names.get(type(value), "str")


class Kinds:
    """Types of the sources of one graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._tasks = {task.name: task for task in graph.tasks()}
        self._loops = {loop.name: loop for loop in nodes_in(graph.body) if isinstance(loop, ForEach)}
        self._seen: dict[str, set[str]] = {}
        for node in nodes_in(graph.body):
            for name, kind in self._readings(node):
                self._seen.setdefault(name, set()).add(kind)

    def port(self, source: Argument | Output) -> Port:
        """What the pipeline is run with, or a task gives, under a name."""
        if isinstance(source, Argument):
            return self._graph.parameters[source.name]
        return self._graph.steps[self._tasks[source.task].step].outputs[source.name]

    def of(self, source: Source) -> str:
        """The type of a source, empty where nothing says it."""
        match source:
            case Constant(value=value):
                return of_value(value)
            case FirstOf(sources=sources):
                return self.of(sources[0])
            case Item(loop=loop):
                return self.item(loop)
            case Part():
                return self._part(source)
            case Argument() | Output():
                return self.port(source).type
            case _:
                return "status" if isinstance(source, Status) else "str"

    def _part(self, source: Part) -> str:
        items = self._loops[source.of.loop].items if isinstance(source.of, Item) else None
        return agreed({of_value(_at(item, source.path)) for item in items.value}) if isinstance(items, Constant) else ""

    def item(self, loop: str) -> str:
        """The type of what a loop is at: of all items if they were written down, else what its readers take it for."""
        return agreed(self.readings(loop)) or "str"

    def readings(self, loop: str) -> set[str]:
        """The types that the items of a loop are, or are taken for."""
        items = self._loops[loop].items
        return {of_value(item) for item in items.value} if isinstance(items, Constant) else self._seen.get(loop, set())

    def _readings(self, node: Node) -> Iterator[tuple[str, str]]:
        """What a node takes the items of loops for."""
        if isinstance(node, Task):
            ports = self._graph.steps[node.step].inputs
            for name, source in node.inputs.items():
                yield from _reading(source, ports[name].type)
        elif isinstance(node, ForEach):
            yield from _reading(node.items, "list")
        elif isinstance(node, When):
            tests = (one for branch in node.branches if branch.condition for one in compared(branch.condition))
            for test in tests:
                yield from _reading(test.left, self._sure(test.right))
                yield from _reading(test.right, self._sure(test.left))

    def _sure(self, source: Source) -> str:
        return "" if isinstance(source, Item | Part) else self.of(source)


def agreed(kinds: set[str]) -> str:
    """The one type of all these; empty if they are none, or several that have none in common."""
    if kinds == {"int", "float"}:
        return "float"
    return next(iter(kinds)) if len(kinds) == 1 else ""


def compared(condition: Condition) -> Iterator[Compare]:
    """The comparisons that a condition is made of."""
    if isinstance(condition, Compare):
        yield condition
    elif isinstance(condition, Not):
        yield from compared(condition.of)
    else:
        for inner in condition.of:
            yield from compared(inner)


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _reading(source: Source, kind: str) -> Iterator[tuple[str, str]]:
    if isinstance(source, Item) and kind:
        yield source.loop, kind
    elif isinstance(source, Part) and isinstance(source.of, Item):
        yield source.of.loop, "list" if isinstance(next(iter(source.path), 0), int) else "dict"
