"""How values get from where they are made to where they are read, through graphs within graphs.

Kubeflow lets a task see its own graph only. What comes from outside is an input of every graph on the way in, and what
goes out, an output of every graph on the way out; the graph that holds a reader depends on what holds the maker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from tiffin.pipeline.graph import Argument, FirstOf, Graph, Item, Output, Part, Port, Source, Status, Task
from tiffin.pipeline.kubeflow.kinds import Kinds, compared
from tiffin.pipeline.kubeflow.layout import Layout, Scope, Spot
from tiffin.pipeline.kubeflow.names import channel, selected
from tiffin.pipeline.kubeflow.sources import elsewhere, given, operands

Document = dict[str, Any]


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """A value within reach: how a task of the same graph says it, what it is called on the way in, and its type."""

    said: Document
    full: str
    port: Port

    def selecting(self, path: tuple[str | int, ...], kind: str) -> Wire:
        """A part of it."""
        keys = "".join(f"[{json.dumps(key)}]" for key in path)
        said = {**self.said, "parameterExpressionSelector": f"parseJson(string_value){keys}"}
        return Wire(said=said, full=selected(self.full, path), port=Port(type=kind))


class Ends:
    """What is known of one scope: its inputs and outputs, where they come from, and what waits for what."""

    def __init__(self) -> None:
        self.inputs: dict[str, Port] = {}
        self.given: dict[str, Wire] = {}
        self.outputs: dict[str, Port] = {}
        self.taken: dict[str, list[tuple[str, str]]] = {}
        self.depends: dict[str, set[str]] = {}


class Wiring:
    """Every wire of a graph; drawn once, when it is made."""

    def __init__(self, graph: Graph, layout: Layout, kinds: Kinds) -> None:
        self._graph, self._layout, self._kinds = graph, layout, kinds
        self.ends: dict[str, Ends] = {scope.name: Ends() for scope in layout.root.scopes()}
        self._firsts: dict[str, dict[str, str]] = {}
        self._operands: dict[str, dict[str, tuple[str, str]]] = {}
        for task in graph.tasks():
            self._task(task)
        for scope in layout.root.scopes():
            self._scope(scope, layout.root)
        self.outputs = {name: self._outcome(source) for name, source in graph.outputs.items()}

    def reach(self, source: Source, spot: Spot) -> Wire:
        """Bring a source to where something lies; each scope on the way gets an input, each maker is waited for."""
        if isinstance(source, Part):
            return self.reach(source.of, spot).selecting(source.path, self._kinds.of(source))
        wire, depth = self._born(source, spot)
        for scope in spot.around[depth + 1 :]:
            wire = self._let_in(wire, scope)
        return wire

    def _let_in(self, wire: Wire, scope: Scope) -> Wire:
        """Make something that a scope's own part can be given an input of it."""
        name = channel(wire.full)
        self.ends[scope.name].inputs[name] = wire.port
        self.ends[scope.name].given[name] = wire
        return _inside(name, wire.full, wire.port)

    def _born(self, source: Source, spot: Spot) -> tuple[Wire, int]:
        """The wire where it begins, and how deep that is."""
        match source:
            case Argument(name=name):
                return _inside(name, name, self._kinds.port(source)), 0
            case Item(loop=loop):
                scope = self._layout.scopes[loop]
                return self._item(scope, loop), spot.around.index(scope)
            case Output(task=task, name=name):
                return self._made(self._layout.spots[task], name, self._kinds.port(source), spot)
            case FirstOf():
                maker, name, port = self._first_of(source)
                return self._made(maker, name, port, spot)
            case _:
                raise AssertionError(source)  # constants, texts and ends of tasks are said by the task itself

    def _item(self, scope: Scope, loop: str) -> Wire:
        full = self._item_name(scope)
        return _inside(channel(full), full, Port(type=self._kinds.item(loop)))

    def _item_name(self, scope: Scope) -> str:
        """What the items of a loop are called; loops in loops over one list would call theirs the same."""
        full = scope.item or f"{self._items(scope).full}-loop-item"
        around = (outer for outer in self._spot_of(scope).around if outer.loop is not None)
        return f"{full}-{scope.name}" if full in map(self._item_name, around) else full

    def _items(self, scope: Scope) -> Wire:
        """The list that a loop is over, as an input of the loop's own scope."""
        assert scope.loop is not None  # noqa: S101 - it is a loop's
        source, before = scope.loop.items, self._spot_of(scope)
        base = self.reach(source, before)
        return msgspec.structs.replace(base, port=Port(type="list"))

    def _spot_of(self, scope: Scope) -> Spot:
        return next(spot for spot in self._layout.spots.values() if spot.name == scope.name)

    def _made(self, maker: Spot, name: str, port: Port, reader: Spot) -> tuple[Wire, int]:
        depth = common_depth(maker, reader)
        key = name
        within = maker.around[depth + 1 :]
        if within:
            rounds = any(scope.kind == "loop" for scope in within)
            port = msgspec.structs.replace(port, many=port.many or rounds)
            key = self._let_out(maker, name, port, depth)
        part = maker.part_in(depth)
        self._depend(maker.around[depth], reader.part_in(depth), part)
        kind = (
            ("taskOutputParameter", "outputParameterKey")
            if port.is_parameter
            else ("taskOutputArtifact", "outputArtifactKey")
        )
        said = {kind[0]: {"producerTask": part, kind[1]: key}}
        return Wire(said=said, full=f"{part}-{key}", port=port), depth

    def _let_out(self, maker: Spot, name: str, port: Port, depth: int) -> str:
        """Make something an output of every scope from where it is made up to, but without, the one at a depth."""
        out, part, key = channel(f"{maker.name}-{name}"), maker.name, name
        for scope in reversed(maker.around[depth + 1 :]):
            self.ends[scope.name].outputs[out] = port
            self.ends[scope.name].taken[out] = [(part, key)]
            part, key = scope.name, out
        return out

    def _first_of(self, source: FirstOf) -> tuple[Spot, str, Port]:
        """Make a choice give what the branch that was taken gives."""
        outputs = [one for one in source.sources if isinstance(one, Output)]
        makers = [self._layout.spots[one.task] for one in outputs]
        depth = min(common_depth(makers[0], maker) for maker in makers)
        choice = makers[0].around[depth]
        known = self._firsts.setdefault(choice.name, {})
        key = known.setdefault(repr(source), channel(f"{choice.name}-oneof-{len(known) + 1}"))
        port = self._kinds.port(outputs[0])
        taken = [
            (maker.part_in(depth), self._let_out(maker, one.name, port, depth))
            for maker, one in zip(makers, outputs, strict=True)
        ]
        self.ends[choice.name].outputs[key] = port
        self.ends[choice.name].taken[key] = taken
        return Spot(name=choice.name, around=makers[0].around[:depth]), key, port

    def _depend(self, scope: Scope, part: str, on: str) -> None:
        if part != on:
            self.ends[scope.name].depends.setdefault(part, set()).add(on)

    def _wait(self, names: tuple[str, ...], reader: Spot) -> None:
        for name in names:
            awaited = self._layout.spots[name]
            depth = common_depth(awaited, reader)
            self._depend(awaited.around[depth], reader.part_in(depth), awaited.part_in(depth))

    def _task(self, task: Task) -> None:
        spot = self._layout.spots[task.name]
        self._wait(task.after, spot)
        for value in given(task, self._graph.steps[task.step]).values():
            for source in elsewhere(value):
                self.reach(source, spot)
        for scope in spot.around:  # as kfp does it, tasks are within reach of what the conditions around them compare
            for source in operands(scope):
                self.reach(source.of if isinstance(source, Part) else source, spot)

    def _scope(self, scope: Scope, root: Scope) -> None:
        if scope.name == root.name:
            return
        spot = self._spot_of(scope)
        self._wait(scope.after, spot)
        for source in operands(scope):
            self._operand(source, scope, spot)
        if scope.loop is not None:
            self._loop(scope)

    def _operand(self, source: Source, scope: Scope, spot: Spot) -> None:
        wire = self.reach(source, spot)
        if not wire.port.type:
            wire = msgspec.structs.replace(wire, port=Port(type=self._expected(source, scope)))
        self._let_in(wire, scope)
        self._operands.setdefault(scope.name, {})[repr(source)] = (channel(wire.full), wire.port.type)

    def _expected(self, source: Source, scope: Scope) -> str:
        """The type that a part of a dict is compared as: that of what it is compared with."""
        tests = [one for test in scope.tests for one in compared(test) if source in (one.left, one.right)]
        others = (one.right if one.left == source else one.left for one in tests)
        return next((kind for kind in map(self._kinds.of, others) if kind), "str")

    def _loop(self, scope: Scope) -> None:
        assert scope.loop is not None  # noqa: S101 - it is a loop's
        if not scope.item:
            self._let_in(self._items(scope), scope)
        item = self._item(scope, scope.loop.name)
        self.ends[scope.name].inputs[channel(item.full)] = item.port

    def spot(self, name: str) -> Spot:
        """Where a task lies."""
        return self._layout.spots[name]

    def operand_of(self, scope: Scope) -> Callable[[Source], tuple[str, str]]:
        """How the condition of a scope names what it compares, and of what type that is."""
        return lambda source: self._operands[scope.name][repr(source)]

    def ended(self, source: Status, spot: Spot) -> str:
        """The part of the same graph whose end a task is told."""
        of = self._layout.spots[source.of]
        return of.part_in(common_depth(of, spot))

    def items(self, scope: Scope) -> str:
        """The name of the input that has the list of a loop which is over no written list."""
        return channel(self._items(scope).full)

    def item(self, scope: Scope) -> str:
        """The name of the input that has what a loop is at."""
        assert scope.loop is not None  # noqa: S101 - it is a loop's
        return channel(self._item(scope, scope.loop.name).full)

    def _outcome(self, source: Source) -> tuple[Port, tuple[str, str]]:
        """What the whole pipeline gives: its type, and the part of the outermost graph that has it, under its name."""
        wire = self.reach(source, Spot(name="", around=(self._layout.root,)))
        (said,) = wire.said.values()
        return wire.port, (said["producerTask"], said.get("outputParameterKey") or said["outputArtifactKey"])


def common_depth(one: Spot, other: Spot) -> int:
    """How deep the innermost scope is that has both."""
    pairs = zip(one.around, other.around, strict=False)
    return sum(1 for mine, theirs in pairs if mine.name == theirs.name) - 1


def _inside(name: str, full: str, port: Port) -> Wire:
    said = {"componentInputParameter" if port.is_parameter else "componentInputArtifact": name}
    return Wire(said=said, full=full, port=port)
