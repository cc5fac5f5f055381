"""Conditions and loops that Kubeflow cannot decide."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tiffin.pipeline.graph import (
    Argument,
    Compare,
    Constant,
    FirstOf,
    ForEach,
    Graph,
    Output,
    Part,
    Place,
    Source,
    Status,
    Text,
    When,
)
from tiffin.pipeline.kubeflow.kinds import Kinds, agreed, compared
from tiffin.pipeline.kubeflow.layout import Layout, nodes_in
from tiffin.pipeline.kubeflow.problem import Problem
from tiffin.pipeline.kubeflow.refused_flow import Reader, reading

_KEY = re.compile(r"[A-Za-z0-9_]+")
_NUMBERS = {"int", "float"}


def in_loops(graph: Graph) -> Iterator[Problem]:
    """Problems of loops."""
    kinds = Kinds(graph)
    for loop in (node for node in nodes_in(graph.body) if isinstance(node, ForEach)):
        if _is_files(loop.items, graph, kinds):
            hint = "loop over a list of values, or over the files within one step"
            message = f"Kubeflow's open-source back end has no loops over lists of files ({loop.name})"
            yield Problem(message=message, hint=hint, place=loop.place)
            continue
        found = kinds.readings(loop.name)
        if found and not agreed(found):
            message = f"the items of {loop.name} are of several types: {', '.join(sorted(found))}"
            yield Problem(message=message, hint="have them, and what reads them, of one type", place=loop.place)


def in_conditions(graph: Graph, layout: Layout) -> Iterator[Problem]:
    """Problems of what branches are taken by."""
    kinds = Kinds(graph)
    for when in (node for node in nodes_in(graph.body) if isinstance(node, When)):
        spot = layout.spots[when.name]
        for branch in when.branches:
            for compare in compared(branch.condition) if branch.condition else ():
                reader = Reader(task=branch.name, input="", place=when.place)
                for side in (compare.left, compare.right):
                    yield from reading(side, spot, graph, layout, reader)
                yield from _comparison(compare, kinds, when.place)


def _comparison(compare: Compare, kinds: Kinds, place: Place) -> Iterator[Problem]:
    sides = (compare.left, compare.right)
    if all(isinstance(side, Constant) for side in sides):
        yield Problem(message="a condition compares what is known already", hint="write the branch alone", place=place)
        return
    for side in sides:
        if isinstance(side, Text | Status) or (isinstance(side, Part) and not _sayable(side)):
            message = "a condition on Kubeflow compares what tasks give, parameters, and items"
            yield Problem(message=message, hint="have a step give what is compared", place=place)
            return
    left, right = (kinds.of(side) for side in sides)
    if not left and not right:
        hint = "compare one of them with a value, or have a step give them"
        yield Problem(message="nothing says of what types the parts are that are compared", hint=hint, place=place)
    elif {left, right} & {"list", "dict"} or not ({left, right} <= {"", "int", "float", "str", "bool"}):
        hint = "have a step give the number or text that decides"
        yield Problem(message=f"Kubeflow does not compare {left} with {right}", hint=hint, place=place)
    elif left and right and left != right and {left, right} != _NUMBERS:
        hint = "compare values of one type"
        yield Problem(message=f"CEL does not compare {left} with {right}", hint=hint, place=place)


def _sayable(part: Part) -> bool:
    return all(_KEY.fullmatch(str(key)) for key in part.path)


def _is_files(source: Source, graph: Graph, kinds: Kinds) -> bool:
    match source:
        case Output():
            return not kinds.port(source).is_parameter
        case Argument(name=name):
            return not graph.parameters[name].is_parameter
        case FirstOf(sources=sources):
            return any(_is_files(one, graph, kinds) for one in sources)
        case _:
            return False
