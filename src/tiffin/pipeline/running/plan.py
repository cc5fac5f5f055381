"""What a run would do: each task with its key, as far as that can be known before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from tiffin.errors import TiffinError
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.keeping.why import changes, origins_of
from tiffin.pipeline.meaning.check import check_arguments
from tiffin.pipeline.running.asking import Asked, Asking, may_be_kept
from tiffin.pipeline.running.means import Means, RunOptions
from tiffin.pipeline.running.run import schedule_options
from tiffin.pipeline.running.runs import Run, TaskRun
from tiffin.pipeline.running.schedule import Ready, Schedule
from tiffin.pipeline.running.spots import State


class Verdict(StrEnum):
    """What would become of a task."""

    KEPT = "kept"
    TO_DO = "to do"
    UNKNOWN = "unknown yet"
    """What it takes, or whether it is done at all, depends on what is to be done."""
    SKIPPED = "skipped"
    FAILS = "fails"
    """It cannot be done: its data or its image is not there, or what it needs fails."""


_LEFT_OUT = {State.SKIPPED: Verdict.SKIPPED, State.UNKNOWN: Verdict.UNKNOWN}


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What would become of one task, and why; the key is empty where it is not known yet."""

    task: str
    verdict: Verdict
    key: str = ""
    why: str = ""
    hint: str = ""


def plan_pipeline(
    graph: Graph,
    arguments: Mapping[str, Any],
    means: Means,
    last: Run | None = None,
    options: RunOptions | None = None,
) -> list[Plan]:
    """Say what a run would do, without doing anything; `last` is the run that reasons are told by.

    Raises ConfigError and NotFoundError as `run_pipeline` does.
    """
    options = options or RunOptions()
    schedule = Schedule(graph, check_arguments(graph, arguments), schedule_options(graph, options))
    planning = _Planning(schedule, means, last, options)
    return planning.planned()


class _Planning:
    """Plays a schedule with what is kept; what is to be done gives nothing that is known."""

    def __init__(self, schedule: Schedule, means: Means, last: Run | None, options: RunOptions) -> None:
        self._schedule, self._means, self._options = schedule, means, options
        self._asking = Asking(means)
        self._last = last.tasks if last else {}
        self._plans: list[Plan] = []

    def planned(self) -> list[Plan]:
        self._left_out()
        while ready := self._schedule.begin():
            try:
                self._plan(ready)
            except TiffinError as error:
                plan = Plan(task=ready.name, verdict=Verdict.FAILS, why=error.message, hint=error.hint or "")
                self._end(plan, State.FAILED)
            self._left_out()
        return self._plans

    def _plan(self, ready: Ready) -> None:
        imported = self._asking.imported(ready)
        if imported is not None:
            plan = Plan(task=ready.name, verdict=Verdict.TO_DO, why="it is looked at each time")
            self._end(plan, State.SUCCEEDED, imported)
            return
        asked = self._asking.asked(ready)
        if not may_be_kept(ready, self._options.force):
            forced = ready.task.cached and ready.step.cached
            self._to_do(asked, "it was asked for" if forced else "it is done each time")
            return
        found = self._means.results.find(asked.key)
        if found is None:
            self._to_do(asked, self._why(asked, self._last.get(ready.name)))
            return
        plan = Plan(task=ready.name, verdict=Verdict.KEPT, key=asked.key)
        self._end(plan, State.SUCCEEDED, {**found.values, **found.artifacts})

    def _to_do(self, asked: Asked, why: str) -> None:
        plan = Plan(task=asked.ready.name, verdict=Verdict.TO_DO, key=asked.key, why=why)
        self._end(plan, State.UNKNOWN)

    def _why(self, asked: Asked, before: TaskRun | None) -> str:
        """The first thing that is another than in the last run, or what became of it there."""
        if before is None or not before.document:
            return "it was never done" if not self._last else "it was not done in the last run"
        found = changes(before.document.encode(), asked.document, origins_of(asked.ready.task))
        if found:
            return found[0]
        return (
            "what it gave is not kept any more" if before.state is State.SUCCEEDED else f"it {before.state} last time"
        )

    def _end(self, plan: Plan, state: State, outputs: Mapping[str, Any] | None = None) -> None:
        self._plans.append(plan)
        self._schedule.end(plan.task, state, outputs, plan.why)

    def _left_out(self) -> None:
        for each in self._schedule.left_out():
            verdict = _LEFT_OUT.get(each.state, Verdict.FAILS)
            self._plans.append(Plan(task=each.name, verdict=verdict, why=each.why, hint=each.hint))
