"""What a run needs of one machine: the most that its steps use at once, and the longest that it can take. Pure."""

from __future__ import annotations

import math
from heapq import nlargest

from tiffin.pipeline.graph import Command, Constant, ForEach, Function, Graph, Node, Resources, Step, Task, bodies_of


def room_of(graph: Graph, jobs: int) -> Resources:
    """What so many steps use at once at most: processors, memory, GPUs, each of those steps that use most of it."""
    used = [step.resources for step in _working(graph)]
    return Resources(
        cpus=sum(nlargest(jobs, (one.cpus for one in used))),
        memory=sum(nlargest(jobs, (one.memory for one in used))),
        gpus=sum(nlargest(jobs, (one.gpus for one in used))),
    )


def is_bounded(graph: Graph) -> bool:
    """Say whether every step has a limit of memory."""
    return all(step.resources.memory for step in _working(graph))


def longest(graph: Graph) -> float:
    """The seconds in which a run has ended, one task after the other; 0 where a task, or a loop, has no bound."""
    seconds = _longest(graph.body)
    return seconds if math.isfinite(seconds) else 0.0


def _working(graph: Graph) -> list[Step]:
    """The steps that are programs of the project."""
    called = [graph.steps[name] for name in dict.fromkeys(task.step for task in graph.tasks())]
    return [step for step in called if isinstance(step.does, Function | Command)]


def _longest(body: tuple[Node, ...]) -> float:
    return math.fsum(map(_longest_of, body))


def _longest_of(node: Node) -> float:
    if isinstance(node, Task):
        waits = (
            min(node.retry.seconds * node.retry.factor**tried, node.retry.most) for tried in range(node.retry.count)
        )
        return node.timeout * (node.retry.count + 1) + math.fsum(waits) if node.timeout else math.inf
    if isinstance(node, ForEach):
        rounds = len(node.items.value) if isinstance(node.items, Constant) else math.inf
        return rounds * _longest(node.body) if rounds else 0.0
    return max(map(_longest, bodies_of(node)), default=0.0)
