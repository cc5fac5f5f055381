"""What happened in a run, one line of JSON for each event, in files that only grow.

    pipelines/NAME/
      lock                        held by whoever runs this pipeline; who that is, is in it
      runs/ID/ledger.jsonl        locked as long as the run's process lives
      runs/ID/plan.json           the graph, and what it is run with
      runs/ID/logs/TASK.N.log     what attempt N wrote, as it writes it
      runs/ID/work/N/             what an attempt leaves, until it is kept
      workspaces/ID/              what the tasks of a compiled pipeline share, where it asks for that

A run whose ledger says no end, and that nobody has locked, was killed. IDs are times, and sort by them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, TypeAlias

import msgspec

from tiffin.durable import room_in
from tiffin.errors import ConflictError
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.results import Artifact
from tiffin.pipeline.running.spots import State

RUNS, WORKSPACES = "runs", "workspaces"
LEDGER, PLAN, LOGS, WORK = "ledger.jsonl", "plan.json", "logs", "work"


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", rename="kebab"):
    at: float
    """Seconds since 1970."""


class RunBegan(_Event, frozen=True, kw_only=True, tag="run-began"):
    """A process began a run of a pipeline."""

    run: str
    pipeline: str
    pid: int


class TaskBegan(_Event, frozen=True, kw_only=True, tag="task-began"):
    """A task's key is known, with its document, or (`attempt` is not 0) an attempt at it begins."""

    task: str
    attempt: int = 0
    key: str = ""
    document: msgspec.Raw = msgspec.Raw()


class AttemptFailed(_Event, frozen=True, kw_only=True, tag="attempt-failed"):
    """An attempt failed, and there is another after so many seconds."""

    task: str
    attempt: int
    why: str
    seconds: float


class TaskEnded(_Event, frozen=True, kw_only=True, tag="task-ended"):
    """A task was done, was found done (`cached`), failed, or was left out; `attempt` is 0 where there was none."""

    task: str
    state: State
    attempt: int = 0
    key: str = ""
    cached: bool = False
    seconds: float = 0.0
    exit_code: int = 0
    why: str = ""
    hint: str = ""
    values: dict[str, Any] = {}
    artifacts: dict[str, Artifact] = {}


class RunEnded(_Event, frozen=True, kw_only=True, tag="run-ended"):
    """The whole of it has ended, and this is what it gives."""

    state: State
    why: str = ""
    outputs: dict[str, Any] = {}


Event: TypeAlias = RunBegan | TaskBegan | AttemptFailed | TaskEnded | RunEnded


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is a run of: the graph, and what it was run with, paths for artifacts."""

    graph: Graph
    arguments: dict[str, Any] = {}


class _Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who has a pipeline's lock."""

    pid: int = 0
    run: str = ""


class Ledger:
    """The run that this process does, as it writes it down; safe to use from several threads."""

    def __init__(self, folder: Path, file: BinaryIO, clock: Callable[[], float]) -> None:
        self.folder, self.run, self._file, self.clock = folder, folder.name, file, clock
        self._writing, self._works = Lock(), 0
        self.told: Callable[[Event], None] = lambda _: None
        """Hears of each event once it is written."""

    def write(self, event: Event, *, durable: bool = False) -> None:
        """Add a line, whole or not at all; a `durable` one outlives the machine's power.

        Raises FullError where there is no room.
        """
        line = msgspec.json.encode(event, enc_hook=str) + b"\n"
        with self._writing, room_in(self.folder, "the ledger of a run"):
            before = os.fstat(self._file.fileno()).st_size
            try:
                self._file.write(line)
                self._file.flush()
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._file.fileno(), before)
                raise
            if durable:
                os.fsync(self._file.fileno())
        self.told(event)

    @contextmanager
    def log(self, task: str, attempt: int) -> Iterator[Callable[[str], None]]:
        """Have a file for what an attempt writes; each line is there for readers at once.

        A log that finds no room ends there: that is no reason for the step to fail.
        """
        path, writing = log_path(self.folder, task, attempt), Lock()
        with room_in(self.folder, "the log of a step"):
            path.parent.mkdir(exist_ok=True)
            opened = path.open("ab", buffering=0)
        with opened as file:

            def said(line: str) -> None:
                with writing, suppress(OSError):
                    file.write(line.encode(errors="replace").rstrip(b"\n") + b"\n")

            yield said

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """An empty folder for what one attempt leaves, which is gone afterwards."""
        with self._writing:
            self._works += 1
            folder = self.folder / WORK / str(self._works)
        with room_in(self.folder, "what a step is to leave"):
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def begun(
    folder: Path,
    planned: Planned,
    clock: Callable[[], float] = time.time,
    told: Callable[[Event], None] = lambda _: None,
    sweep: Callable[[Collection[str]], None] = lambda _: None,
) -> Iterator[Ledger]:
    """Begin a run in a pipeline's folder, the only one at this time; raises ConflictError, naming the other.

    `told` hears of each event once it is written, that the run began being the first.
    What runs that were killed have left in their workplaces is deleted; `sweep` is given these runs before, if there
    are any, and removes what they have left elsewhere.
    """
    with room_in(folder, "the ledger of a run"):
        runs = folder / RUNS
        runs.mkdir(parents=True, exist_ok=True)
    with _held(folder / "lock", planned.graph.name) as lock:
        earlier = run_ids(folder)
        if killed := [run for run in earlier if _was_at_work(runs / run)]:
            sweep(killed)
        for run in earlier:
            shutil.rmtree(runs / run / WORK, ignore_errors=True)
        new = runs / _next_id(earlier[-1] if earlier else "", clock())
        with room_in(runs, "the ledger of a run"):
            new.mkdir()
            (new / PLAN).write_bytes(msgspec.json.encode(planned, enc_hook=str))
            _say_who(lock, _Holder(pid=os.getpid(), run=new.name))
        with (new / LEDGER).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            ledger = Ledger(new, file, clock)
            ledger.told = told
            began = RunBegan(at=clock(), run=new.name, pipeline=planned.graph.name, pid=os.getpid())
            ledger.write(began, durable=True)
            yield ledger


def _was_at_work(run: Path) -> bool:
    """Whether an attempt of a run has left its workplace, as only one does that was killed."""
    work = run / WORK
    return work.is_dir() and any(work.iterdir())


@contextmanager
def _held(path: Path, pipeline: str) -> Iterator[BinaryIO]:
    """Hold a pipeline's lock, which the kernel frees when the process ends."""
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _who(file)
            run = f"run {who.run}, by process {who.pid}" if who.run else "another process has just begun"
            hint = f", or end it with `kill {who.pid}`" if who.pid else ""
            raise ConflictError(
                f"{pipeline} is being run already: {run}",
                f"wait for it; `tiffin pipeline status` shows how far it is{hint}",
            ) from None
        yield file


def _say_who(file: BinaryIO, who: _Holder) -> None:
    file.truncate(0)
    file.write(msgspec.json.encode(who))
    file.flush()


def _who(file: BinaryIO) -> _Holder:
    file.seek(0)
    try:
        return msgspec.json.decode(file.read(), type=_Holder)
    except msgspec.DecodeError:
        return _Holder()


def run_ids(folder: Path) -> list[str]:
    """The runs of a pipeline's folder, oldest first."""
    runs = folder / RUNS
    if not runs.is_dir():
        return []
    return sorted(path.name for path in runs.glob("[!.]*") if (path / PLAN).is_file())  # a dot: it is being deleted


def log_path(run: Path, task: str, attempt: int) -> Path:
    """Where what an attempt writes is kept."""
    return run / LOGS / f"{task}.{attempt}.log"


_ID = "%Y%m%d-%H%M%S"


def _next_id(last: str, now: float) -> str:
    """A time in UTC, to the millisecond; after the last one, whatever the clock says."""
    millis = int(now * 1000)
    if last:
        millis = max(millis, _millis(last) + 1)
    return f"{datetime.fromtimestamp(millis // 1000, UTC).strftime(_ID)}-{millis % 1000:03}"


def began_at(run: str) -> float:
    """When a run began by its name, in seconds since 1970."""
    return _millis(run) / 1000


def _millis(run: str) -> int:
    seconds, _, rest = run.rpartition("-")
    return int(datetime.strptime(seconds, _ID).replace(tzinfo=UTC).timestamp()) * 1000 + int(rest)
