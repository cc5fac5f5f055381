"""Runs a pipeline here: begins what may begin, has it done in threads, and writes down what became of it.

What is found by its key is not done. What was done is kept before the ledger says so: killed at any moment and begun
again, a run goes on from the last task that ended.
"""

from __future__ import annotations

import contextvars
import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from queue import Empty, SimpleQueue
from threading import Event, Thread
from types import FrameType
from typing import Any

import msgspec

from tiffin import progress
from tiffin.errors import NotFoundError, TiffinError
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.meaning.check import check_arguments
from tiffin.pipeline.meaning.outline import Outline, task_of
from tiffin.pipeline.results import Artifact
from tiffin.pipeline.running.attempt import Outcome, Stops, Tasks
from tiffin.pipeline.running.gpus import Gpus
from tiffin.pipeline.running.ledger import Ledger, RunEnded, TaskEnded
from tiffin.pipeline.running.means import Means, RunOptions
from tiffin.pipeline.running.runs import Run, Runs
from tiffin.pipeline.running.schedule import LeftOut, Options, Ready, Schedule
from tiffin.pipeline.running.spots import State
from tiffin.pipeline.workbench import Input

STOPPED = "the run was stopped"
_PAUSE = 0.1
"""Seconds between two looks at whether a run was stopped."""


def run_pipeline(
    graph: Graph,
    arguments: Mapping[str, Any],
    means: Means,
    ledger: Ledger,
    options: RunOptions | None = None,
    stopped: Event | None = None,
) -> Run:
    """Run a pipeline to its end and tell how that was; a task that fails raises nothing.

    `stopped` ends it before: what runs is stopped, and nothing begins any more but what is done on exit, as with `argo
    stop`; that is given some seconds. Raises ConfigError for arguments that do not fit, NotFoundError for options that
    name what is not there, and FullError where the ledger finds no room.
    """
    schedule = Schedule(graph, check_arguments(graph, arguments), schedule_options(graph, options or RunOptions()))
    options, stopped = options or RunOptions(), stopped or Event()
    with _after(stopped, options.exit_seconds) as exits:
        _Running(schedule, means, ledger, options, Stops(run=stopped, exits=exits)).go()
    return Runs(ledger.folder.parent.parent).read(ledger.run)


def schedule_options(graph: Graph, options: RunOptions) -> Options:
    """What is wanted of a graph; raises NotFoundError for names that it does not have."""
    outline = Outline(graph)
    steps = set(graph.steps)
    forced = [task_of(name) for name in options.force]
    missing = [name for name in (*options.until, *options.only) if name not in outline.sites]
    missing += [name for name in forced if name not in outline.sites and name not in steps]
    if missing:
        tasks = ", ".join(task.name for task in graph.tasks())
        raise NotFoundError(f"{graph.name} has no task {missing[0]}", f"it has {tasks}")
    named = (*options.until, *options.only)
    return Options(wanted=outline.needed(named) if named else None, fail_fast=options.fail_fast)


@contextmanager
def stopped_by_signals() -> Iterator[Event]:
    """An event that the first interruption (SIGINT, SIGTERM) sets; the second one does what it did before.

    For the main thread of a process.
    """
    stopped = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def again() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(_number: int, _frame: FrameType | None) -> None:
        again()
        stopped.set()

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        again()


@contextmanager
def _after(stopped: Event, seconds: float) -> Iterator[Event]:
    """An event that comes so many seconds after another one."""
    later, over = Event(), Event()

    def follow() -> None:
        while not over.wait(_PAUSE):
            if stopped.is_set():
                over.wait(seconds)
                later.set()
                return

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield later
    finally:
        over.set()
        thread.join()


class _Running:
    """The loop of one run."""

    def __init__(self, schedule: Schedule, means: Means, ledger: Ledger, options: RunOptions, stops: Stops) -> None:
        self._schedule, self._means, self._ledger, self._stops = schedule, means, ledger, stops
        self._tasks = Tasks(means, ledger, stops, force=options.force)
        self._jobs = options.jobs or os.cpu_count() or 1
        self._allowed = schedule.outline.within(options.only) if options.only else None
        self._going: dict[Future[Outcome], Ready] = {}
        self._ended: SimpleQueue[Future[Outcome]] = SimpleQueue()

    def go(self) -> None:
        """Go on until everything has ended; whatever breaks off ends what runs first."""
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="task") as pool:
            try:
                self._begin(pool)
                while self._going:
                    future = self._next()
                    self._end(self._going.pop(future), future.result())
                    self._begin(pool)
            except BaseException as error:
                self._stops.run.set()
                self._stops.exits.set()
                with suppress(TiffinError):
                    self._write_end(State.FAILED, _words(error))
                raise
        state = self._schedule.state
        self._write_end(state, STOPPED if state is State.STOPPED else "")

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        if self._stops.run.is_set():  # seen when what runs has ended, which is soon: it is told as well
            self._schedule.stop(STOPPED)
        while len(self._going) < self._jobs and (ready := self._schedule.begin(self._has)):
            if ready.regardless and self._stops.run.is_set():
                progress.note(f"{ready.name} is done before the run stops; a second interruption ends it at once")
            allowed = self._allowed is None or ready.task.name in self._allowed
            gpus = self._gpus.take(ready.name, count) if (count := ready.step.resources.gpus) else ()
            within = contextvars.copy_context()
            future = pool.submit(within.run, self._do, ready, allowed, gpus)
            self._going[future] = ready
            future.add_done_callback(self._ended.put)
        for each in self._schedule.left_out():
            self._leave(each)

    def _next(self) -> Future[Outcome]:
        """Wait for whichever ends next, looking up now and then.

        Python hears of a signal between two of its own steps. One that comes just before the wait, or to another
        thread, does not wake it.
        """
        while True:
            with suppress(Empty):
                return self._ended.get(timeout=_PAUSE)

    def _has(self, gpus: int) -> bool:
        return not gpus or self._gpus.has(gpus)

    @cached_property
    def _gpus(self) -> Gpus:
        """Looked for when a task asks for one."""
        return Gpus(self._means.gpus())

    def _do(self, ready: Ready, allowed: bool, gpus: tuple[str, ...]) -> Outcome:  # noqa: FBT001 - threads are given their arguments by position
        return self._tasks.do(ready, allowed=allowed, gpus=gpus)

    def _end(self, ready: Ready, outcome: Outcome) -> None:
        """Write down how a task ended, and let go on what waited for it."""
        ended = TaskEnded(
            at=self._means.clock(),
            task=ready.name,
            state=outcome.state,
            attempt=outcome.attempt,
            key=outcome.key,
            cached=outcome.cached,
            seconds=outcome.seconds,
            exit_code=outcome.exit_code,
            why=outcome.why,
            hint=outcome.hint,
            values=outcome.values,
            artifacts={name: _artifact(each) for name, each in outcome.artifacts.items()},
        )
        if ready.step.resources.gpus:
            self._gpus.give_back(ready.name)
        self._ledger.write(ended, durable=not outcome.cached)
        self._schedule.end(ready.name, outcome.state, {**outcome.values, **outcome.artifacts}, outcome.why)

    def _leave(self, each: LeftOut) -> None:
        now = self._means.clock()
        self._ledger.write(TaskEnded(at=now, task=each.name, state=each.state, why=each.why, hint=each.hint))
        if each.state is not State.STOPPED:
            word = "is skipped" if each.state is State.SKIPPED else "is not done"
            progress.note(f"{each.name} {word}: {each.why}")

    def _write_end(self, state: State, why: str) -> None:
        outputs = {name: _told(each) for name, each in self._schedule.outputs().items()}
        self._ledger.write(RunEnded(at=self._means.clock(), state=state, why=why, outputs=outputs), durable=True)


def _artifact(each: Artifact | Input) -> Artifact:
    """What is written down of an artifact, wherever it lies."""
    if isinstance(each, Artifact):
        return each
    return Artifact(digest=each.digest, size=each.size, type=each.type, name=each.name, metadata=each.metadata)


def _told(output: Any) -> Any:
    """An output of the pipeline as JSON has it."""
    if isinstance(output, Artifact | Input):
        return msgspec.to_builtins(_artifact(output), enc_hook=str)
    return [_told(each) for each in output] if isinstance(output, list) else output


def _words(error: BaseException) -> str:
    return error.message if isinstance(error, TiffinError) else f"{type(error).__name__}: {error}"
