"""Files that a pipeline is run with: a run on a cluster is given values only, so a task imports each by its address."""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin.pipeline.graph import (
    Argument,
    FirstOf,
    ForEach,
    Graph,
    Group,
    Importer,
    Node,
    Output,
    Part,
    Port,
    Source,
    Step,
    Task,
)

GIVEN = "artifact"
"""The output of an importer."""


def with_importers(graph: Graph) -> Graph:
    """The same graph with an address in place of each artifact that it is run with, and a task that imports it.

    A default that is no address is a file of this machine, and is left out.
    """
    files = {name: port for name, port in graph.parameters.items() if not port.is_parameter}
    if not files:
        return graph
    taken = {task.name for task in graph.tasks()} | set(graph.steps)
    names = dict(zip(files, _names(len(files), taken), strict=True))
    tasks = tuple(_task(graph, name, names[name]) for name in files)
    return msgspec.structs.replace(
        graph,
        parameters={name: _address(port) if name in files else port for name, port in graph.parameters.items()},
        steps={**graph.steps, **{names[name]: _step(names[name], port, graph) for name, port in files.items()}},
        body=(*tasks, *(_rewired(node, names) for node in graph.body)),
        outputs={name: _moved(source, names) for name, source in graph.outputs.items()},
    )


def is_address(value: Any) -> bool:
    """Say whether this is an address that Kubeflow's launcher fetches from."""
    return isinstance(value, str) and value.startswith(ADDRESSES)


ADDRESSES = ("s3://", "gs://", "minio://", "oci://")
"""Kinds of addresses that the open-source launcher has files of; of others a step would see no path."""


def _names(number: int, taken: set[str]) -> list[str]:
    names: list[str] = []
    index = 1
    while len(names) < number:
        name = f"importer-{index}" if index > 1 else "importer"
        names += [] if name in taken else [name]
        index += 1
    return names


def _address(port: Port) -> Port:
    default = port.default if is_address(port.default) else None
    return Port(type="str", default=default, optional=default is not None, description=port.description)


def _step(name: str, port: Port, graph: Graph) -> Step:
    does = Importer(uri=Argument(name="uri"))
    ports = {GIVEN: Port(type=port.type)}
    return Step(name=name, does=does, inputs={"uri": Port(type="str")}, outputs=ports, place=graph.place)


def _task(graph: Graph, parameter: str, name: str) -> Task:
    return Task(name=name, step=name, inputs={"uri": Argument(name=parameter)}, place=graph.place)


def _rewired(node: Node, names: dict[str, str]) -> Node:
    if isinstance(node, Task):
        moved = {name: _moved(source, names) for name, source in node.inputs.items()}
        return msgspec.structs.replace(node, inputs=moved)
    if isinstance(node, ForEach | Group):
        return msgspec.structs.replace(node, body=tuple(_rewired(inner, names) for inner in node.body))
    branches = tuple(
        msgspec.structs.replace(branch, body=tuple(_rewired(inner, names) for inner in branch.body))
        for branch in node.branches
    )
    return msgspec.structs.replace(node, branches=branches)


def _moved(source: Source, names: dict[str, str]) -> Source:
    """A source, but of an importer where it was an artifact that the pipeline is run with."""
    match source:
        case Argument(name=name) if name in names:
            return Output(task=names[name], name=GIVEN)
        case FirstOf(sources=sources):
            return FirstOf(sources=tuple(_moved(one, names) for one in sources))
        case Part(of=of, path=path):
            return Part(of=_moved(of, names), path=path)
        case _:  # no text has a file in it
            return source
