"""A whole file through a service: batch after batch, kept as it comes, taken up again after a kill.

Beside the output lie, until it is whole: `OUTPUT.partial`, the results so far as JSON lines; `OUTPUT.rejected.partial`,
the rows that the model refused; `OUTPUT.progress`, how many rows and bytes of each are certain. What was written after
the last certain byte is cut off when the same command is run again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.durable import lock, renamed, room_in, sync_directory
from tiffin.errors import ConflictError
from tiffin.progress import Step, note, parallel, step
from tiffin.traffic.results import check_record, records, write_results
from tiffin.traffic.rows import Row, kind_of, read_rows

AT_ONCE = 4
"""Batches that are out at the same time, so that the model never waits for the next."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A file of rows, where its results go, and of which kinds both are; `batch` rows are asked at once."""

    source: Path
    target: Path
    source_kind: str
    target_kind: str
    batch: int = 256

    def beside(self, ending: str) -> Path:
        """A file beside the output."""
        return self.target.with_name(self.target.name + ending)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is for certain: rows read, rows rejected, bytes of the two files; `source` is what was read."""

    source: tuple[int, int] = (0, 0)
    rows: int = 0
    rejected: int = 0
    kept_bytes: int = 0
    rejected_bytes: int = 0


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A row that has no result, and why."""

    row: int
    error: str
    input: object = None


Ask = Callable[[Sequence[object]], bytes]
"""Ask the model for rows; gives what `/predict` answered, and raises RowError where it refuses them."""


class RowError(Exception):
    """The model refuses these rows; the message is the server's."""


def plan(source: Path, target: Path, *, source_kind: str = "", target_kind: str = "", batch: int = 256) -> Job:
    """Say what is to be done; raises UnsupportedError, or ConflictError where the output is already there."""
    if target.exists():
        raise ConflictError(f"{target} is already there", "remove it or name another output")
    return Job(
        source=source,
        target=target,
        source_kind=kind_of(source, source_kind),
        target_kind=kind_of(target, target_kind),
        batch=batch,
    )


def run(job: Job, columns: dict[str, str], ask: Ask) -> Done:
    """Do it, or go on where an earlier run ended; returns how much it was."""
    with lock(job.beside(".lock")), room_in(job.target.parent):
        try:
            done = _predict(job, columns, ask, _begin(job))
            _finish(job, done)
        finally:
            if not job.beside(".progress").exists():  # all is done, or nothing was: either way nothing is left
                _sweep(job)
    return done


def _predict(job: Job, columns: dict[str, str], ask: Ask, began: Done) -> Done:
    with ExitStack() as files:
        kept = files.enter_context(_cut(job.beside(".partial"), began.kept_bytes))
        rejected = files.enter_context(_cut(job.beside(".rejected.partial"), began.rejected_bytes))
        running = files.enter_context(step("predict", job.source.name, unit="rows"))
        rows = islice(read_rows(job.source, job.source_kind, columns), began.rows, None)
        return _Pump(job, ask, kept, rejected, running).run(rows, began)


def _begin(job: Job) -> Done:
    """Read how far an earlier run came with the same file."""
    status = job.source.stat()
    source = (status.st_size, status.st_mtime_ns)
    try:
        done = msgspec.json.decode(job.beside(".progress").read_bytes(), type=Done)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Done(source=source)
    if done.source != source:
        note(f"{job.source} has changed since: beginning again")
        return Done(source=source)
    note(f"going on after row {done.rows}")
    return done


def _cut(path: Path, size: int) -> BinaryIO:
    file = path.open("ab")
    file.truncate(size)
    return file


def _finish(job: Job, done: Done) -> None:
    with renamed(job.target) as file:
        write_results(job.target_kind, job.beside(".partial"), file)
    if done.rejected:
        job.beside(".rejected.partial").replace(job.beside(".rejected.jsonl"))
    job.beside(".progress").unlink(missing_ok=True)
    sync_directory(job.target.parent)


def _sweep(job: Job) -> None:
    for ending in (".partial", ".rejected.partial", ".lock"):
        job.beside(ending).unlink(missing_ok=True)


class _Pump:
    """Takes rows in batches to the model, and what comes back to the files."""

    def __init__(self, job: Job, ask: Ask, kept: BinaryIO, rejected: BinaryIO, running: Step) -> None:
        self._job = job
        self._ask = ask
        self._kept = kept
        self._rejected = rejected
        self._running = running

    def run(self, rows: Iterator[Row], done: Done) -> Done:
        """Ask for all rows, several batches at once and kept in order."""
        while window := list(islice(rows, AT_ONCE * self._job.batch)):
            batches = [window[start : start + self._job.batch] for start in range(0, len(window), self._job.batch)]
            found = parallel(self._answer, batches, workers=AT_ONCE)
            for lines in found:
                for line, refused in lines:
                    (self._rejected if refused else self._kept).write(line)
            done = self._note(done, len(window), sum(refused for lines in found for _, refused in lines))
            self._running.advance(len(window))
        return done

    def _note(self, done: Done, rows: int, rejected: int) -> Done:
        """Make certain what was written: the bytes first, then the note that says so."""
        for file in (self._kept, self._rejected):
            file.flush()
            os.fsync(file.fileno())
        done = Done(
            source=done.source,
            rows=done.rows + rows,
            rejected=done.rejected + rejected,
            kept_bytes=self._kept.tell(),
            rejected_bytes=self._rejected.tell(),
        )
        with renamed(self._job.beside(".progress")) as file:
            file.write(msgspec.json.encode(done))
        return done

    def _answer(self, rows: Sequence[Row]) -> list[tuple[bytes, bool]]:
        """Give a line for each row, and whether it was refused."""
        good = [row for row in rows if not row.problem]
        lines = {row.number: (_refusal(row, row.problem), True) for row in rows if row.problem}
        lines |= self._halve(good) if good else {}
        return [lines[row.number] for row in rows]

    def _halve(self, rows: Sequence[Row]) -> dict[int, tuple[bytes, bool]]:
        """Ask for rows; where they are refused, find those that are to blame."""
        try:
            answer = self._ask([row.asked for row in rows])
        except RowError as error:
            if len(rows) == 1:
                return {rows[0].number: (_refusal(rows[0], str(error)), True)}
            middle = len(rows) // 2
            return self._halve(rows[:middle]) | self._halve(rows[middle:])
        found = records(answer, len(rows))
        check_record(self._job.target_kind, found[0])
        return {
            row.number: (msgspec.json.encode({**(row.known or {}), **record}) + b"\n", False)
            for row, record in zip(rows, found, strict=True)
        }


def _refusal(row: Row, error: str) -> bytes:
    rejected = Rejected(row=row.number, error=error, input=row.known if row.known is not None else row.asked)
    return msgspec.json.encode(rejected, enc_hook=str) + b"\n"
