"""The tree of graphs within graphs that Kubeflow makes of branches, loops and groups, named by its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Literal

import msgspec

from tiffin.pipeline.graph import Condition, Constant, ForEach, Graph, Group, Node, Not, Place, Task, When, bodies_of


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """A graph of its own within another. Those of a `branch` run if all of its `tests` hold."""

    name: str
    kind: Literal["root", "branches", "branch", "loop", "group"]
    tests: tuple[Condition, ...] = ()
    loop: ForEach | None = None
    item: str = ""
    parts: tuple[Task | Scope, ...] = ()
    after: tuple[str, ...] = ()
    regardless: bool = False
    place: Place = Place()

    def scopes(self) -> Iterator[Scope]:
        """This and all within it, outer before inner."""
        yield self
        for part in self.parts:
            if isinstance(part, Scope):
                yield from part.scopes()

    def tasks(self) -> Iterator[Task]:
        """Every task in it and in those within it."""
        for part in self.parts:
            if isinstance(part, Task):
                yield part
            else:
                yield from part.tasks()


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """Where something lies: the scopes around it, outermost first, and its own name in the innermost."""

    name: str
    around: tuple[Scope, ...]

    def part_in(self, depth: int) -> str:
        """The name of what it is, or is in, among the parts of the scope at a depth."""
        return self.around[depth + 1].name if depth + 1 < len(self.around) else self.name


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The whole tree; `spots` has every task, loop, group, choice and branch by its name in the graph."""

    root: Scope
    spots: dict[str, Spot]
    scopes: dict[str, Scope]
    """The scope of each loop, group and choice by its name in the graph."""


def lay_out(graph: Graph) -> Layout:
    """Give every branch, loop and group its scope."""
    builder = _Builder(
        waited=frozenset(name for node in nodes_in(graph.body) for name in node.after), closed=frozenset(_closed(graph))
    )
    root = Scope(name="root", kind="root", parts=builder.parts(graph.body))
    spots = dict(_spots(root, (), builder.called))
    return Layout(root=root, spots=spots, scopes={name: _named(root, of) for name, of in builder.called.items()})


def _named(root: Scope, name: str) -> Scope:
    return next(scope for scope in root.scopes() if scope.name == name)


def nodes_in(body: tuple[Node, ...]) -> Iterator[Node]:
    """Every node of a body and of the bodies in it, outer before inner."""
    for node in body:
        yield node
        for inner in bodies_of(node):
            yield from nodes_in(inner)


def _closed(graph: Graph) -> Iterator[str]:
    """Groups that a task comes after however they end: Kubeflow calls them exit handlers."""
    return (name for node in nodes_in(graph.body) if node.regardless for name in node.after)


class _Builder:
    """Numbers scopes as kfp's context managers do: at entry, but the first of several branches after its body."""

    def __init__(self, waited: frozenset[str], closed: frozenset[str]) -> None:
        self._numbers = count(1)
        self._waited, self._closed = waited, closed
        self.called: dict[str, str] = {}

    def parts(self, body: tuple[Node, ...]) -> tuple[Task | Scope, ...]:
        return tuple(node if isinstance(node, Task) else self._scope(node) for node in body)

    def _scope(self, node: When | ForEach | Group) -> Scope:
        made = self._when(node) if isinstance(node, When) else self._body(node)
        self.called[node.name] = made.name
        return made

    def _body(self, node: ForEach | Group) -> Scope:
        if isinstance(node, ForEach):
            item = f"loop-item-param-{next(self._numbers)}" if isinstance(node.items, Constant) else ""
            name = f"for-loop-{next(self._numbers)}"
            parts = self.parts(node.body)
            return Scope(name=name, kind="loop", loop=node, item=item, parts=parts, after=node.after, place=node.place)
        name = f"exit-handler-{next(self._numbers)}" if node.name in self._closed else node.name
        made = Scope(name=name, kind="group", parts=self.parts(node.body), after=node.after, place=node.place)
        return msgspec.structs.replace(made, regardless=node.regardless)

    def _when(self, node: When) -> Scope:
        # What comes after a branch alone would be left out with it; after a choice it is not.
        alone = len(node.branches) == 1 and node.name not in self._waited
        number, branches, before = next(self._numbers), [], ()
        for index, branch in enumerate(node.branches):
            own = number if alone else (next(self._numbers) if index else 0)
            parts = self.parts(branch.body)
            own = own or next(self._numbers)
            tests: tuple[Condition, ...] = (*before, *((branch.condition,) if branch.condition else ()))
            name = f"condition-{own}"
            self.called[branch.name] = name
            branches.append(Scope(name=name, kind="branch", tests=tests, parts=parts, place=node.place))
            before = (*before, *((Not(of=branch.condition),) if branch.condition else ()))
        if alone:
            return msgspec.structs.replace(branches[0], after=node.after)
        name = f"condition-branches-{number}"
        return Scope(name=name, kind="branches", parts=tuple(branches), after=node.after, place=node.place)


def _spots(scope: Scope, around: tuple[Scope, ...], called: dict[str, str]) -> Iterator[tuple[str, Spot]]:
    names: dict[str, list[str]] = {}
    for mine, theirs in called.items():
        names.setdefault(theirs, []).append(mine)
    inside = (*around, scope)
    for part in scope.parts:
        if isinstance(part, Task):
            yield part.name, Spot(name=part.name, around=inside)
            continue
        for name in names.get(part.name, []):
            yield name, Spot(name=part.name, around=inside)
        yield from _spots(part, inside, called)
