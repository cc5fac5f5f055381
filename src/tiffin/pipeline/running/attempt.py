"""How one task is done: its key, what is kept of it, and attempts until one gives something to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Lock
from typing import Any

import msgspec

from tiffin import progress
from tiffin.errors import CommandError, ConflictError, NotFoundError, TiffinError
from tiffin.oci.digest import Digest
from tiffin.pipeline.benches.missing import hint_for_log
from tiffin.pipeline.graph import Command, Function, Retry, Step
from tiffin.pipeline.results import Artifact, Result
from tiffin.pipeline.running.asking import Asked, Asking, may_be_kept
from tiffin.pipeline.running.ledger import AttemptFailed, Ledger, TaskBegan
from tiffin.pipeline.running.means import Means
from tiffin.pipeline.running.schedule import Ready
from tiffin.pipeline.running.spots import State
from tiffin.pipeline.workbench import Ended, Input, Order


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a task ended: what it gave, or why it gave nothing."""

    state: State
    key: str = ""
    attempt: int = 0
    cached: bool = False
    seconds: float = 0.0
    exit_code: int = 0
    why: str = ""
    hint: str = ""
    values: dict[str, Any] = {}
    artifacts: dict[str, Artifact | Input] = {}


class _StepError(CommandError):
    """An attempt failed by the step's own doing; another may succeed."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code_of_step = exit_code


class _Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an attempt from outside: how long it took, and the last line that it wrote."""

    seconds: float
    last: str


class _StoppedError(Exception):
    """The run was stopped before the task ended."""


class Stops(msgspec.Struct, frozen=True, kw_only=True):
    """The events that stop a run's tasks: `run` most of them, and `exits` what is done regardless."""

    run: Event
    exits: Event

    def of(self, ready: Ready) -> Event:
        """The one that stops this task."""
        return self.exits if ready.regardless else self.run


class Tasks:
    """Does the tasks of one run, each whenever it is asked to, in whatever thread."""

    def __init__(self, means: Means, ledger: Ledger, stops: Stops, *, force: frozenset[str] = frozenset()) -> None:
        self._means, self._ledger, self._stops, self._force = means, ledger, stops, force
        self._asking = Asking(means)
        self._alone: dict[Digest, Lock] = {}
        self._guard = Lock()

    def do(self, ready: Ready, *, allowed: bool = True, gpus: tuple[str, ...] = ()) -> Outcome:
        """Have a task done: by what is kept of it, or by attempts, which only `allowed` ones get, with these GPUs.

        Whatever goes wrong is told in the outcome.
        """
        key = ""
        try:
            with progress.step("run", ready.name) as running:
                imported = self._asking.imported(ready)
                if imported is not None:
                    return Outcome(state=State.SUCCEEDED, artifacts=dict(imported))
                asked = msgspec.structs.replace(self._asking.asked(ready), gpus=gpus)
                key = asked.key
                began = TaskBegan(
                    at=self._means.clock(), task=ready.name, key=key, document=msgspec.Raw(asked.document)
                )
                self._ledger.write(began)
                outcome = self._done(asked, allowed=allowed)
                running.cached = outcome.cached
                return outcome
        except _StoppedError as error:
            return Outcome(state=State.STOPPED, key=key, why=str(error))
        except TiffinError as error:
            code = error.exit_code_of_step if isinstance(error, _StepError) else 0
            return Outcome(state=State.FAILED, key=key, why=error.message, hint=error.hint or "", exit_code=code)

    def _done(self, asked: Asked, *, allowed: bool) -> Outcome:
        """Equal keys at the same time are done once: the second finds what the first has kept."""
        ready = asked.ready
        if allowed and not may_be_kept(ready, self._force):
            return self._made(asked)
        with self._only_one(asked.key):
            found = self._means.results.find(asked.key)
            if found is not None:
                return _outcome(found, cached=True)
            if allowed:
                return self._made(asked)
        raise NotFoundError(
            f"{ready.name} is not kept, and was not asked for", "run it as well: name it, or use `--until`"
        )

    @contextmanager
    def _only_one(self, key: Digest) -> Iterator[None]:
        with self._guard:
            alone = self._alone.setdefault(key, Lock())
        with alone:
            yield

    def _made(self, asked: Asked) -> Outcome:
        """Try as often as the task says."""
        taken, pauses, attempt = self._taken(asked), _pauses(asked.ready.task.retry), 0
        while True:
            attempt += 1
            if self._stops.of(asked.ready).is_set():
                raise _StoppedError("the run was stopped")
            self._ledger.write(TaskBegan(at=self._means.clock(), task=asked.ready.name, attempt=attempt))
            try:
                return _outcome(self._attempt(asked, taken, attempt), cached=False)
            except TiffinError as error:
                pause = next(pauses, None) if error.temporary or isinstance(error, CommandError) else None
                if pause is None:
                    raise
                self._pause(asked.ready, attempt, error, pause)

    def _pause(self, ready: Ready, attempt: int, error: TiffinError, seconds: float) -> None:
        failed = AttemptFailed(
            at=self._means.clock(), task=ready.name, attempt=attempt, why=error.message, seconds=seconds
        )
        self._ledger.write(failed)
        progress.note(f"{error.message}; attempt {attempt + 1} of {ready.task.retry.count + 1} in {seconds:g} s")
        self._means.wait(self._stops.of(ready), seconds)

    def _taken(self, asked: Asked) -> dict[str, tuple[Input, ...]]:
        take = self._means.results.take
        return {
            name: tuple(each if isinstance(each, Input) else take(each) for each in some)
            for name, some in asked.inputs.items()
        }

    def _attempt(self, asked: Asked, inputs: Mapping[str, tuple[Input, ...]], attempt: int) -> Result:
        """One attempt, in a folder of its own; what it gave is kept before anybody is told of it."""
        ready, clock, stopped = asked.ready, self._means.clock, self._stops.of(asked.ready)
        with self._ledger.workplace() as folder, self._ledger.log(ready.name, attempt) as log:
            order = Order(
                run=self._ledger.run,
                task=ready.name,
                attempt=attempt,
                step=ready.step,
                values=ready.values,
                inputs=dict(inputs),
                folder=folder,
                seconds=ready.task.timeout,
                gpus=asked.gpus,
            )

            last = ""

            def said(line: str) -> None:
                nonlocal last
                last = line.strip() or last
                log(line)
                self._means.heard(ready.name, line)

            began = clock()
            ended = self._means.workbench.do(order, said, stopped)
            seconds = clock() - began
            _judge(order, ended, _Heard(seconds=seconds, last=last), stopped)
            self._check(asked)
            return self._means.results.keep(asked.document, order, ended, seconds)

    def _check(self, asked: Asked) -> None:
        """Refuse what was made of data that was another when its key was made: it would be kept under a wrong one."""
        for each in asked.read:
            if self._means.changed(each):
                raise ConflictError(
                    f"{each.path} changed while {asked.ready.name} read it",
                    "run it again when nothing writes there; what was made before is kept",
                )


def _judge(order: Order, ended: Ended, heard: _Heard, stopped: Event) -> None:
    """Raise why an attempt gave nothing."""
    if not ended.exit_code and not ended.reason:
        return
    if stopped.is_set():
        raise _StoppedError("the run was stopped")
    late = f"it took longer than {order.seconds:g} s" if 0 < order.seconds <= heard.seconds else ""
    reason = ended.reason or late or f"exit code {ended.exit_code}"
    missing = hint_for_log(heard.last) if _is_in_environment(order.step) else ""
    raise _StepError(
        f"{order.task} failed: {reason}",
        missing or f"`tiffin pipeline logs {order.task}` shows what it wrote",
        ended.exit_code,
    )


def _is_in_environment(step: Step) -> bool:
    """Whether a step is done with the project's packages, and not in an image of others."""
    return isinstance(step.does, Function | Command) and not step.does.image


def _pauses(retry: Retry) -> Iterator[float]:
    """The seconds before each attempt but the first."""
    seconds = min(retry.seconds, retry.most)
    for _ in range(retry.count):
        yield seconds
        seconds = min(seconds * retry.factor, retry.most)


def _outcome(result: Result, *, cached: bool) -> Outcome:
    return Outcome(
        state=State.SUCCEEDED,
        key=result.key,
        attempt=0 if cached else result.attempt,
        cached=cached,
        seconds=result.seconds,
        values=result.values,
        artifacts=dict(result.artifacts),
    )
