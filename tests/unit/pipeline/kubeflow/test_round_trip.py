"""What is written for Kubeflow is read back as the same pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tiffin.pipeline.graph import Command, ForEach, Graph, Importer, Node, When, bodies_of
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.read import read_graph
from tiffin.pipeline.kubeflow.validate import read_spec
from tiffin.pipeline.kubeflow.write import pipeline_spec, to_yaml
from tiffin.pipeline.meaning.check import check
from unit.pipeline.kubeflow.compiled import FILE
from unit.pipeline.kubeflow.twins import TWINS


def again(graph: Graph) -> Graph:
    """A graph that was written and read, which is checked and can be run."""
    found = read_graph(read_spec(to_yaml(pipeline_spec(graph, Images())), FILE)).runnable()
    check(found)
    return found


def called(graph: Graph) -> list[tuple[Any, ...]]:
    """What tasks do, but for their names: the words of their commands, what they may use, and how they are tried."""
    found = []
    for task in graph.tasks():
        step = graph.steps[task.step]
        words = msgspec.to_builtins(step.does.argv) if isinstance(step.does, Command) else []
        found.append((str(words), step.resources, task.retry.count, task.cached and step.cached, task.regardless))
    return sorted(found, key=str)


def count(body: tuple[Node, ...], kind: type) -> int:
    return sum(isinstance(node, kind) + sum(count(inner, kind) for inner in bodies_of(node)) for node in body)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_what_is_written_for_kubeflow_is_read_as_the_same_pipeline(twin: Callable[[], Graph]) -> None:
    graph = twin()
    found = again(graph)
    imported = sum(isinstance(step.does, Importer) for step in found.steps.values())
    assert len(list(found.tasks())) >= len(list(graph.tasks()))
    if not imported:
        assert called(found) == called(graph)
    assert {name: port.type for name, port in found.parameters.items()} == {
        name: port.type if port.is_parameter else "str" for name, port in graph.parameters.items()
    }
    assert found.outputs.keys() == graph.outputs.keys()
    assert count(found.body, ForEach) == count(graph.body, ForEach)
    assert (count(found.body, When) > 0) is (count(graph.body, When) > 0)
