"""What Kubeflow's open-source back end would not run, or otherwise than was written, refused by file and line."""

from __future__ import annotations

from collections.abc import Iterator

from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import Graph, Group, Place, Task
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.imports import ADDRESSES, is_address
from tiffin.pipeline.kubeflow.layout import Layout, lay_out, nodes_in
from tiffin.pipeline.kubeflow.names import PIPELINE, plain
from tiffin.pipeline.kubeflow.problem import Problem
from tiffin.pipeline.kubeflow.refused_conditions import in_conditions, in_loops
from tiffin.pipeline.kubeflow.refused_flow import in_outputs, in_tasks
from tiffin.pipeline.kubeflow.refused_steps import in_steps


def refuse(graph: Graph, images: Images) -> None:
    """Raise UnsupportedError for the first problem, naming the others too."""
    found = list(problems(graph, images))
    if found:
        lines = [f"{problem.place}: {problem.message}" if str(problem.place) else problem.message for problem in found]
        raise UnsupportedError("\n".join(lines), found[0].hint)


def problems(graph: Graph, images: Images) -> Iterator[Problem]:
    """Everything in a graph that Kubeflow cannot do as it is written."""
    yield from _names(graph)
    yield from in_steps(graph, images)
    layout = _laid_out(graph)
    if layout is None:
        yield Problem(message=f"pipeline {graph.name} has a part without tasks", hint=_EMPTY, place=graph.place)
        return
    yield from _generated(graph, layout)
    yield from _parameters(graph)
    yield from in_tasks(graph, layout)
    yield from in_loops(graph)
    yield from in_conditions(graph, layout)
    yield from in_outputs(graph, layout)


def notes(graph: Graph) -> tuple[str, ...]:
    """What will be otherwise on a cluster than here, though it can be done."""
    steps = [graph.steps[task.step] for task in graph.tasks()]
    found: list[str] = []
    if any(not step.network for step in steps):
        found.append("steps have whatever network the cluster gives their pods: `network=False` is kept here only")
    for name, port in graph.parameters.items():
        if not port.is_parameter and port.default is not None and not is_address(port.default):
            found.append(
                f"{name} has no default on a cluster, where {port.default} is not: run it with {ADDRESSES[0]}…"
            )
    if any(task.timeout for task in graph.tasks()):
        found.append(
            "a timeout bounds the life of a task's pod, and so counts the time that its image takes to be pulled"
        )
    return tuple(found)


_EMPTY = "write a step into each branch, loop and group, or leave it out"


def _laid_out(graph: Graph) -> Layout | None:
    """The layout; none where a graph within it, or all of it, would have nothing that runs."""
    layout = lay_out(graph)
    scopes = layout.root.scopes()
    return None if any(all(part.regardless for part in scope.parts) for scope in scopes) else layout


def _names(graph: Graph) -> Iterator[Problem]:
    if not PIPELINE.fullmatch(plain(graph.name)):
        message = f"Kubeflow has no pipeline of the name {graph.name!r}"
        yield Problem(message=message, hint="name it with letters and digits, at most 128", place=graph.place)
    for node in nodes_in(graph.body):
        if isinstance(node, Task | Group) and (not node.name or plain(node.name) != node.name):
            message = f"Kubernetes has no name like {node.name!r}"
            yield Problem(message=message, hint=f'name it so: .named("{plain(node.name)}")', place=node.place)


def _generated(graph: Graph, layout: Layout) -> Iterator[Problem]:
    groups = {node.name for node in nodes_in(graph.body) if isinstance(node, Group)}
    taken = {scope.name for scope in layout.root.scopes()} - groups
    for task in graph.tasks():
        if plain(task.name) in taken:
            message = f"Kubeflow calls a branch or loop of this pipeline {task.name!r} already"
            yield Problem(message=message, hint='give the task another name with .named("…")', place=task.place)


def _parameters(graph: Graph) -> Iterator[Problem]:
    for name, port in graph.parameters.items():
        if port.is_parameter:
            continue
        if port.many:
            hint = "take its files one by one, or one folder of them"
            yield Problem(message=f"a list of files cannot be given to a run: {name}", hint=hint, place=graph.place)
        elif port.optional and port.default is None:
            hint = f"give {name} a default, or read it in a step that may have a `str` of its address"
            yield Problem(
                message=f"an importer must have an address: {name} may be left out", hint=hint, place=graph.place
            )
        elif isinstance(port.default, str) and "://" in port.default and not is_address(port.default):
            yield _address(name, port.default, graph.place)


def _address(name: str, uri: str, place: Place) -> Problem:
    message = f"Kubeflow's launcher fetches no files from {uri} ({name})"
    return Problem(message=message, hint=f"name an address that begins with {', '.join(ADDRESSES)}", place=place)
