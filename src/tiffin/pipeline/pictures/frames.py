"""A graph as nested boxes with words, and which box has to wait for which: what text and SVG draw alike. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from tiffin.pipeline.graph import ForEach, Graph, Group, Node, Task, When
from tiffin.pipeline.meaning.outline import names_of
from tiffin.pipeline.meaning.sources import named, worded

State = Literal["waiting", "running", "done", "kept", "skipped", "failed", "stopped"]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How a task is: its state, the seconds that it took, and what there is to say of it."""

    state: State
    seconds: float | None = None
    why: str = ""


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A task, or several that have something in common: a branch, a loop, a group, the alternatives of a choice.

    `after` are those of its siblings that it waits for. A task has a `mark` where it was run; one in a loop may have
    several, one a round.
    """

    name: str
    kind: Literal["task", "branches", "branch", "loop", "group", "pipeline"]
    title: str
    after: tuple[str, ...] = ()
    inner: tuple[Frame, ...] = ()
    marks: tuple[Mark, ...] = ()
    does: str = ""


Marks = Mapping[str, tuple[Mark, ...]]
_NONE: Marks = {}


def framed(graph: Graph, marks: Marks = _NONE) -> Frame:
    """The frame of a whole pipeline; `marks` are by the names of tasks."""
    return Frame(name=graph.name, kind="pipeline", title=graph.name, inner=tuple(_siblings(graph.body, graph, marks)))


def _siblings(body: tuple[Node, ...], graph: Graph, marks: Marks) -> Iterator[Frame]:
    """The frames of a body; whoever needs what lies in another waits for all of that."""
    within = {name: node.name for node in body for name in _names(node)}
    for node in body:
        needed = (within.get(name, "") for name in _needs(node))
        after = tuple(dict.fromkeys(name for name in needed if name not in {"", node.name}))
        yield msgspec.structs.replace(_frame(node, graph, marks), after=after)


def _frame(node: Node, graph: Graph, marks: Marks) -> Frame:
    if isinstance(node, Task):
        does = "" if node.step == node.name else node.step
        return Frame(name=node.name, kind="task", title=node.name, marks=marks.get(node.name, ()), does=does)
    if isinstance(node, When):
        return _choice(node, graph, marks)
    inner = tuple(_siblings(node.body, graph, marks))
    if isinstance(node, ForEach):
        return Frame(name=node.name, kind="loop", title=f"for each of {named(node.items)}", inner=inner)
    return Frame(name=node.name, kind="group", title=node.name, inner=inner)


def _choice(node: When, graph: Graph, marks: Marks) -> Frame:
    frames = []
    for number, branch in enumerate(node.branches):
        word = "or when" if number else "when"
        title = f"{word} {worded(branch.condition)}" if branch.condition else "otherwise"
        inner = tuple(_siblings(branch.body, graph, marks))
        frames.append(Frame(name=branch.name, kind="branch", title=title, inner=inner))
    if len(frames) == 1:
        return msgspec.structs.replace(frames[0], name=node.name)
    return Frame(name=node.name, kind="branches", title="", inner=tuple(frames))


def _names(node: Node) -> Iterator[str]:
    """A node's name, and those of all in it."""
    yield node.name
    for branch in node.branches if isinstance(node, When) else ():
        yield branch.name
    for inner in _inner(node):
        yield from _names(inner)


def _inner(node: Node) -> Iterator[Node]:
    if isinstance(node, When):
        for branch in node.branches:
            yield from branch.body
    elif isinstance(node, ForEach | Group):
        yield from node.body


def _needs(node: Node) -> Iterator[str]:
    """The names of all that a node, and what stands in it, refers to."""
    yield from names_of(node)
    for inner in _inner(node):
        yield from _needs(inner)
