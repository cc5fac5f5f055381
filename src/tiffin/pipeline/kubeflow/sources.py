"""What tasks and conditions read that lies somewhere else."""

from __future__ import annotations

from collections.abc import Iterator

from tiffin.pipeline.graph import Constant, Importer, Source, Status, Step, Task, Text
from tiffin.pipeline.kubeflow.kinds import compared
from tiffin.pipeline.kubeflow.layout import Scope


def given(task: Task, step: Step) -> dict[str, Source]:
    """What a task is given, by input; an importer's address is its only one."""
    return {"uri": task.inputs.get("uri", step.does.uri)} if isinstance(step.does, Importer) else task.inputs


def elsewhere(source: Source) -> Iterator[Source]:
    """The sources in a source that must be brought to whoever reads it."""
    if isinstance(source, Text):
        for piece in source.pieces:
            yield from () if isinstance(piece, str) else elsewhere(piece)
    elif not isinstance(source, Constant | Status):
        yield source


def operands(scope: Scope) -> Iterator[Source]:
    """What the conditions of a scope compare, but for constants."""
    for test in scope.tests:
        for one in compared(test):
            yield from (side for side in (one.left, one.right) if not isinstance(side, Constant))
