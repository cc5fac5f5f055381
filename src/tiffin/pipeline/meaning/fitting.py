"""Which type a value will have before anything has run, and whether it is one that an input takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tiffin.errors import ConfigError
from tiffin.pipeline.graph import (
    Argument,
    Branch,
    Constant,
    FirstOf,
    ForEach,
    Graph,
    Item,
    Node,
    Output,
    Port,
    Source,
    Status,
    Task,
    Text,
)
from tiffin.pipeline.meaning.values import typed

_KNOWN = {
    "Artifact",
    "Dataset",
    "Model",
    "Metrics",
    "ClassificationMetrics",
    "SlicedClassificationMetrics",
    "HTML",
    "Markdown",
}
"""Artifacts whose kinship is known: each is an Artifact, and none is another. Of all others only pipeline.py knows."""


class Kinds:
    """The types of sources in a graph."""

    def __init__(
        self, graph: Graph, nodes: Mapping[str, Node | Branch], left: Callable[[str, tuple[str, ...]], int]
    ) -> None:
        """Take the nodes by name, and what says how many loops an output leaves to be read in some place."""
        self._graph, self._nodes, self._left = graph, nodes, left

    def of(self, source: Source, here: tuple[str, ...]) -> Port | None:
        """What a source is to one who stands here; None where only the run will tell."""
        if isinstance(source, Argument):
            return self._graph.parameters.get(source.name)
        if isinstance(source, Output):
            return self._output(source, here)
        if isinstance(source, Item):
            return self._item(source, here)
        if isinstance(source, FirstOf):
            return self._first(source, here)
        if isinstance(source, Status | Text):
            return Port(type="status" if isinstance(source, Status) else "str")
        return None

    def _output(self, source: Output, here: tuple[str, ...]) -> Port | None:
        task = self._nodes.get(source.task)
        step = self._graph.steps.get(task.step) if isinstance(task, Task) else None
        port = step.outputs.get(source.name) if step else None
        if port is None or not self._left(source.task, here):
            return port
        return Port(type="list") if port.is_parameter else Port(type=port.type, many=True)

    def _item(self, source: Item, here: tuple[str, ...]) -> Port | None:
        loop = self._nodes.get(source.loop)
        if not isinstance(loop, ForEach) or source.loop not in here:
            return None
        items = self.of(loop.items, here[: here.index(source.loop)])
        return Port(type=items.type) if items is not None and items.many else None

    def _first(self, source: FirstOf, here: tuple[str, ...]) -> Port | None:
        ports = [self.of(one, here) for one in source.sources]
        same = {(port.type, port.many) for port in ports if port is not None}
        return ports[0] if len(same) == 1 and None not in ports else None


def misfit(kinds: Kinds, source: Source, wanted: Port, here: tuple[str, ...]) -> str:
    """Say why a source is not what a port takes; empty where it is, or where only the run will tell."""
    if isinstance(source, Constant):
        return _constant(source, wanted)
    given = kinds.of(source, here)
    if given is None or _suits(given, wanted):
        return ""
    return f"should be {_name(wanted)}, and is given {_name(given)}"


def _constant(source: Constant, wanted: Port) -> str:
    if not wanted.is_parameter:
        return f"should be {_name(wanted)}, and is given the value {source.value!r}"
    try:
        typed(source.value, wanted.type, "")
    except ConfigError as error:
        return str(error).strip()
    return ""


def _suits(given: Port, wanted: Port) -> bool:
    if given.is_parameter or wanted.is_parameter:
        same = given.type == wanted.type or (given.type, wanted.type) in (("int", "float"), ("status", "dict"))
        return same and given.many is wanted.many
    if given.many is not wanted.many:
        return False
    both = {given.type, wanted.type}
    return len(both) == 1 or "Artifact" in both or not both <= _KNOWN


def _name(port: Port) -> str:
    return f"list[{port.type}]" if port.many else port.type
