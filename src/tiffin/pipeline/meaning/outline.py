"""Where everything stands in a graph, and what refers to what: the part of a schedule that no run changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import TypeAlias

import msgspec

from tiffin.pipeline.graph import (
    Branch,
    ForEach,
    Graph,
    Node,
    Output,
    Source,
    Task,
    When,
    bodies_of,
    tasks_in,
)
from tiffin.pipeline.meaning.sources import references, sources_of

Standing: TypeAlias = Node | Branch
"""What has a name in a graph."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where something stands: what is around it, from the outermost, the loops of that, and how many come before it."""

    node: Standing
    around: tuple[str, ...]
    loops: tuple[str, ...]
    order: int


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What has to end before something begins: by name, and how many loops the two have in common.

    Of something within further loops, it is the outermost of these that has to end.
    """

    name: str
    depth: int


class Outline:
    """The sites of a graph, and the needs of each."""

    def __init__(self, graph: Graph) -> None:
        self.sites: dict[str, Site] = {}
        self._needs: dict[str, tuple[Need, ...]] = {}
        self._walk(graph.body, (), ())

    def _walk(self, body: tuple[Node, ...], around: tuple[str, ...], loops: tuple[str, ...]) -> None:
        for node in body:
            self._stand(node, around, loops)
            if isinstance(node, When):
                for branch in node.branches:
                    self._stand(branch, (*around, node.name), loops)
                    self._walk(branch.body, (*around, node.name, branch.name), loops)
            elif not isinstance(node, Task):
                inner = (*loops, node.name) if isinstance(node, ForEach) else loops
                self._walk(node.body, (*around, node.name), inner)

    def _stand(self, node: Standing, around: tuple[str, ...], loops: tuple[str, ...]) -> None:
        self.sites[node.name] = Site(node=node, around=around, loops=loops, order=len(self.sites))

    def needs(self, node: Node) -> tuple[Need, ...]:
        """What has to end before a node begins, each once."""
        known = self._needs.get(node.name)
        if known is None:
            loops = self.sites[node.name].loops
            known = self._needs[node.name] = tuple(dict.fromkeys(self.need(name, loops) for name in names_of(node)))
        return known

    def need(self, name: str, loops: tuple[str, ...]) -> Need:
        """What has to end for one that stands in these loops and refers to a name."""
        theirs = self.sites[name].loops
        depth = self.shared(name, loops)
        return Need(name=theirs[depth] if depth < len(theirs) else name, depth=depth)

    def shared(self, name: str, loops: tuple[str, ...]) -> int:
        """How many loops around a name are among these."""
        pairs = zip(self.sites[name].loops, loops, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def needed(self, names: Iterable[str]) -> frozenset[str]:
        """Every task that has to be done for these to be done, themselves among them.

        Of what is around a task, what it depends on counts, such as the condition of its branch.
        """
        seen: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += self._behind(self.sites[name])
        return frozenset(name for name in seen if isinstance(self.sites[name].node, Task))

    def within(self, names: Iterable[str]) -> frozenset[str]:
        """Every task that has one of these names, or stands in something that has."""
        some = set(names)
        tasks = ((name, site) for name, site in self.sites.items() if isinstance(site.node, Task))
        return frozenset(name for name, site in tasks if name in some or not some.isdisjoint(site.around))

    def _behind(self, site: Site) -> Iterator[str]:
        for around in site.around:
            outer = self.sites[around].node
            yield from () if isinstance(outer, Branch) else names_of(outer)
        if isinstance(site.node, Branch):
            yield from (task.name for task in tasks_in(site.node.body))
            return
        yield from names_of(site.node)
        for body in bodies_of(site.node):
            yield from (task.name for task in tasks_in(body))


def names_of(node: Node) -> Iterator[str]:
    """The names of all that a node itself refers to, without what stands in it."""
    yield from node.after
    for source in _sources(node):
        for each in references(source):
            yield each.task if isinstance(each, Output) else each.of


def _sources(node: Node) -> Iterator[Source]:
    if isinstance(node, Task):
        yield from node.inputs.values()
    elif isinstance(node, ForEach):
        yield node.items
    elif isinstance(node, When):
        for branch in node.branches:
            if branch.condition is not None:
                yield from sources_of(branch.condition)


def instance(name: str, at: tuple[int, ...]) -> str:
    """What a task is called in a round of the loops around it: `train`, `train[2]`, `train[1,2]`."""
    return f"{name}[{','.join(map(str, at))}]" if at else name


def task_of(name: str) -> str:
    """The task that an instance is one of."""
    return name.partition("[")[0]
