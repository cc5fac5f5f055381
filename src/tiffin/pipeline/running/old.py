"""Runs that nobody looks back at any more: which these are, and letting them go with all that was written of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tiffin.pipeline.running.ledger import RUNS, WORKSPACES, began_at, run_ids

NEWEST = 100
"""Runs of a pipeline that stay, however old they are."""
_GONE = ".gone"


class OldRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that may go: the folder of its pipeline, its name, bytes on the disk, and when it began, since 1970."""

    folder: Path
    run: str
    size: int
    began: float


def old(runs: Sequence[str], before: float) -> list[str]:
    """Which of a pipeline's runs, oldest first, may go: those that began before a time, but for the newest ones. Pure.

    One that goes on is the newest, since a pipeline has one run at a time; the one that the next goes on from is, too.
    """
    return [run for run in runs[:-NEWEST] if began_at(run) < before]


def old_runs(pipelines: Path, before: float) -> list[OldRun]:
    """The runs that may go of all pipelines of a folder."""
    return [
        OldRun(folder=folder, run=run, size=sum(map(_size, _parts(folder, run))), began=began_at(run))
        for folder in sorted(pipelines.glob("*/"))
        for run in old(run_ids(folder), before)
    ]


def let_go(run: OldRun) -> None:
    """Delete a run: first its name, and then what lies under it, which a prune that is killed leaves to the next."""
    for part in _parts(run.folder, run.run):
        gone = part.with_name(f".{part.name}{_GONE}")
        with suppress(FileNotFoundError):  # somebody else was faster, or there is no such part
            part.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def sweep_runs(pipelines: Path) -> None:
    """Delete what prunes that died left of runs that they let go."""
    for left in pipelines.glob(f"*/*/.*{_GONE}"):
        shutil.rmtree(left, ignore_errors=True)


def _parts(folder: Path, run: str) -> tuple[Path, ...]:
    """Where a run is: its own folder last, so that it goes by its name until all else is gone."""
    return folder / WORKSPACES / run, folder / RUNS / run


def _size(folder: Path) -> int:
    """Bytes that a folder takes on the disk, as far as they can be seen."""
    size = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += (Path(above) / name).lstat().st_blocks * 512
    return size
