"""What of a pipeline cannot be in a pod of a cluster, or is otherwise there. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tiffin.api.services.targets import KUBERNETES, LOCAL, Place
from tiffin.config.project import Project
from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import Action, Constant, Graph, Task

_SERVICES = ("deploy", "champion")


def refuse_abroad(graph: Graph, project: Project, place: Place) -> None:
    """Refuse what no pod can do, with its place in pipeline.py; raises UnsupportedError."""
    for task, to in _kept(graph):
        section = project.environment.get(to)
        if to == LOCAL or (section and section.target == LOCAL):
            raise UnsupportedError(
                f"{task.place}: {task.step} is about services of this machine, which on a cluster is a pod that ends",
                'write `to="kubernetes"`, or the name of an `[environment]` of this cluster',
            )
        if section and section.kube_context not in {"", place.context}:
            raise UnsupportedError(
                f"{task.place}: {task.step} is about the cluster of {section.kube_context}, and a pod knows its own",
                f"have the pipeline on that one: `--environment {to}`",
            )


def elsewhere(graph: Graph, project: Project, place: Place) -> Iterator[str]:
    """Say which services are in another namespace, where the pipeline has no rights of its own."""
    for task, to in _kept(graph):
        section = project.environment.get(to)
        if section and section.namespace not in {"", place.namespace}:
            yield (
                f"{task.place}: {task.step} is about the namespace {section.namespace}, where the pipeline has no "
                "rights: a RoleBinding there gives them to its ServiceAccount"
            )


def services_of(graph: Graph) -> Literal["none", "read", "keep"]:
    """What a pipeline does with services."""
    names = {task.step for task, _ in _kept(graph)}
    does = {step.does.name for name, step in graph.steps.items() if name in names and isinstance(step.does, Action)}
    return "keep" if "deploy" in does else "read" if does else "none"


def _kept(graph: Graph) -> Iterator[tuple[Task, str]]:
    """The tasks about services, and which place each means; one that is known only when it runs is this cluster."""
    for task in graph.tasks():
        step = graph.steps[task.step]
        if not isinstance(step.does, Action) or step.does.name not in _SERVICES or _of_image(task, step.does.name):
            continue
        source = task.inputs.get("to")
        if source is None:
            port = step.inputs.get("to")
            yield task, str(port.default or LOCAL) if port else LOCAL
        else:
            yield task, str(source.value or LOCAL) if isinstance(source, Constant) else KUBERNETES


def _of_image(task: Task, action: str) -> bool:
    """Whether a champion is that of an image, which no place keeps."""
    return action == "champion" and "image" in task.inputs
