"""Runs as they are read back from their ledgers, while they go on or afterwards."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from tiffin.errors import IntegrityError, NotFoundError
from tiffin.oci.documents import read_digest
from tiffin.pipeline.results import Artifact
from tiffin.pipeline.running.ledger import (
    LEDGER,
    LOGS,
    PLAN,
    RUNS,
    AttemptFailed,
    Event,
    Planned,
    RunBegan,
    RunEnded,
    TaskBegan,
    TaskEnded,
    run_ids,
)
from tiffin.pipeline.running.spots import GOING, State


class RunState(StrEnum):
    """How far a run has come."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    KILLED = "killed"
    """Its process is gone, and said no end."""


class TaskRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task in a run: how far it came, by which attempt, and what it gave.

    `began` and `ended` are seconds since 1970, 0 where there is no such time. `document` is the key's (`why`).
    """

    task: str
    state: State
    attempt: int = 0
    key: str = ""
    document: str = ""
    cached: bool = False
    began: float = 0.0
    ended: float = 0.0
    seconds: float = 0.0
    exit_code: int = 0
    why: str = ""
    hint: str = ""
    values: dict[str, Any] = {}
    artifacts: dict[str, Artifact] = {}


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run, with its tasks in the order that they began or were left out."""

    id: str
    pipeline: str
    state: RunState
    began: float
    ended: float = 0.0
    pid: int = 0
    why: str = ""
    tasks: dict[str, TaskRun] = {}
    outputs: dict[str, Any] = {}


class Runs:
    """The runs of one pipeline, in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ids(self) -> list[str]:
        """Every run, oldest first."""
        return run_ids(self.folder)

    def last(self) -> Run | None:
        """The latest run; None where there has been none."""
        ids = self.ids()
        return self.read(ids[-1]) if ids else None

    def read(self, run: str) -> Run:
        """A run as far as it has come; raises NotFoundError."""
        folder = self._folder(run)
        alive = _alive(folder / LEDGER)
        return _read(run, self.folder.name, events(folder), alive=alive)

    def planned(self, run: str) -> Planned:
        """The graph that it is a run of, and its arguments; raises NotFoundError, IntegrityError for a torn file."""
        path = self._folder(run) / PLAN
        try:
            return msgspec.json.decode(path.read_bytes(), type=Planned)
        except msgspec.DecodeError as error:
            raise IntegrityError(f"{path} cannot be read: {error}", f"delete the run: `rm -r {path.parent}`") from error

    def logs(self, run: str, task: str) -> list[Path]:
        """What each attempt at a task wrote, the first one first; they grow while it runs."""
        found = (self._folder(run) / LOGS).glob("*.log")
        attempts = (path.name.removesuffix(".log").rpartition(".") for path in found)
        mine = sorted(int(attempt) for name, _, attempt in attempts if name == task)
        return [self._folder(run) / LOGS / f"{task}.{attempt}.log" for attempt in mine]

    def _folder(self, run: str) -> Path:
        if run not in self.ids():
            known = ", ".join(self.ids()[-3:]) or "none yet"
            raise NotFoundError(
                f"{self.folder.name} has no run {run}; the latest are {known}", "`tiffin pipeline list` shows all"
            )
        return self.folder / RUNS / run


_EVENTS = msgspec.json.Decoder(Event, dec_hook=read_digest)


def events(run: Path) -> Iterator[Event]:
    """What a run's ledger says, but for lines that are torn, or of a later version."""
    try:
        lines = (run / LEDGER).read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield _EVENTS.decode(line)
        except msgspec.DecodeError:
            continue


def _alive(ledger: Path) -> bool:
    """Say whether the process that writes a ledger lives: it has it locked."""
    try:
        with ledger.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _read(run: str, pipeline: str, told: Iterator[Event], *, alive: bool) -> Run:
    began, ended = RunBegan(at=0.0, run=run, pipeline=pipeline, pid=0), None
    tasks: dict[str, TaskRun] = {}
    for event in told:
        if isinstance(event, RunBegan):
            began = event
        elif isinstance(event, RunEnded):
            ended = event
        else:
            tasks[event.task] = _told(tasks.get(event.task), event)
    state = RunState(ended.state) if ended else RunState.RUNNING if alive else RunState.KILLED
    if state is not RunState.RUNNING:
        why = "the run was killed" if state is RunState.KILLED else "the run ended before it"
        tasks = {name: _cut_off(task, why) for name, task in tasks.items()}
    return Run(
        id=run,
        pipeline=began.pipeline,
        state=state,
        began=began.at,
        ended=ended.at if ended else 0.0,
        pid=began.pid,
        why=ended.why if ended else "",
        tasks=tasks,
        outputs=ended.outputs if ended else {},
    )


def _told(task: TaskRun | None, event: TaskBegan | AttemptFailed | TaskEnded) -> TaskRun:
    """A task after one more event."""
    task = task or TaskRun(task=event.task, state=State.WAITING)
    if isinstance(event, AttemptFailed):
        return msgspec.structs.replace(task, state=State.WAITING, why=event.why)
    if isinstance(event, TaskBegan):
        return msgspec.structs.replace(
            task,
            state=State.RUNNING,
            attempt=event.attempt,
            key=event.key or task.key,
            document=bytes(event.document).decode() or task.document,
            began=task.began or event.at,
        )
    told = {name: getattr(event, name) for name in ("state", "cached", "seconds", "exit_code", "why", "hint")}
    return msgspec.structs.replace(
        task,
        **told,
        attempt=event.attempt or task.attempt,
        key=event.key or task.key,
        ended=event.at,
        values=event.values,
        artifacts=event.artifacts,
    )


def _cut_off(task: TaskRun, why: str) -> TaskRun:
    """A task of a run that does not go on: one that had not ended never will."""
    return msgspec.structs.replace(task, state=State.STOPPED, why=why) if task.state in GOING else task
