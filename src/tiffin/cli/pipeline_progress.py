"""What is told of a run while it goes on: a line a step, and of those that failed the end of what they wrote."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import msgspec

from tiffin.errors import CommandError, TiffinError
from tiffin.pipeline.pictures.words import took
from tiffin.pipeline.running.ledger import Event, TaskEnded
from tiffin.pipeline.running.runs import RunState
from tiffin.pipeline.running.spots import State
from tiffin.progress import Event as Happened
from tiffin.progress import Finished, Noted, rewording, say

if TYPE_CHECKING:
    from tiffin.api.pipelines.run import Asked
    from tiffin.pipeline.running.runs import Run, TaskRun

LAST = 15
"""Lines of what a step wrote that are shown when it failed."""


class Steps:
    """Writes a line when a step ends, in place of what progress would say of it."""

    def __init__(self) -> None:
        self._left_out: set[str] = set()

    def told(self, event: Event) -> None:
        """Hear of one event of the run."""
        if not isinstance(event, TaskEnded):
            return
        if event.state in {State.SKIPPED, State.BLOCKED}:
            self._left_out |= {f"{event.task} is skipped: {event.why}", f"{event.task} is not done: {event.why}"}
        say(line_of(event))

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Leave out of progress what these lines say."""
        with rewording(self._reworded):
            yield

    def _reworded(self, event: Happened) -> Happened | None:
        if isinstance(event, Finished) and event.name == "run":
            return msgspec.structs.replace(event, seconds=0.0, failed=False)
        if isinstance(event, Noted) and event.message in self._left_out:
            return None
        return event


def line_of(ended: TaskEnded) -> str:
    """How a step ended, in a line."""
    if ended.state is State.SUCCEEDED:
        return f"kept      {ended.task}" if ended.cached else f"done      {ended.task}  ({took(ended.seconds)})"
    word = "skipped" if ended.state is State.BLOCKED else ended.state.value
    why = ended.why.removeprefix(f"{ended.task} failed: ")
    return f"{word:<9} {ended.task}: {why}"


def finished(ran: Run, asked: Asked) -> None:
    """End as the run did: raises CommandError for the first step that failed, after what such steps wrote last."""
    if ran.state is RunState.SUCCEEDED:
        return
    if ran.state is RunState.STOPPED:
        raise click.Abort
    failed = [task for task in ran.tasks.values() if task.state is State.FAILED]
    for task in failed:
        _tail(task, ran, asked)
    if not failed:
        raise CommandError(f"{ran.pipeline} {ran.state}: {ran.why}", "`tiffin pipeline status` shows its steps")
    first = failed[0]
    why = first.why if first.why.startswith(first.task) else f"{first.task}: {first.why}"
    raise CommandError(f"{ran.pipeline} failed: {why}", first.hint or None)


def _tail(task: TaskRun, ran: Run, asked: Asked) -> None:
    from tiffin.api.pipelines.runs import Meant, logs

    try:
        lines = list(logs(Meant(what=asked.what, name=ran.pipeline), task.task, ran.id))
    except TiffinError:
        return
    if not lines:
        return
    folder = "" if str(asked.what) == "." else f" -C {shlex.quote(str(asked.what))}"
    print(f"\nThe last lines of {task.task}:", *(f"    {line}" for line in lines[-LAST:]), sep="\n", file=sys.stderr)
    print(f"All of it: tiffin pipeline logs {task.task}{folder}\n", file=sys.stderr)
