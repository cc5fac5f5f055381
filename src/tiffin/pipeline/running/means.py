"""What a run is done with, and what is asked of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Event

import msgspec

from tiffin.pipeline.results import Results
from tiffin.pipeline.workbench import Input, Workbench

Sweep = Callable[[Collection[str]], None]
"""Removes what steps of these runs, which were killed, have left outside of their workplaces."""


def _nobody(_task: str, _line: str) -> None:
    """Hear nothing of what steps write: the ledger's logs have it."""


def _nothing(_runs: Collection[str]) -> None:
    """Remove nothing: steps leave nothing behind."""


def _wait(stopped: Event, seconds: float) -> None:
    """Wait, but not for longer than there is something to wait for."""
    stopped.wait(seconds)


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """Where steps are done, where results are kept, how arguments are read, and what time it is.

    `look` takes what lies at a path as an artifact of a type, and `changed` says whether that is another by now
    (`Contents.input` and `Contents.changed`); `heard` is told each line that a task writes. `sweep` removes what steps
    of runs that were killed have left behind. `gpus` names those that steps are given, each to one at a time.
    """

    workbench: Workbench
    results: Results
    look: Callable[[Path, str], Input]
    changed: Callable[[Input], bool]
    heard: Callable[[str, str], None] = _nobody
    sweep: Sweep = _nothing
    gpus: Callable[[], tuple[str, ...]] = tuple
    clock: Callable[[], float] = time.time
    wait: Callable[[Event, float], None] = _wait


EXIT_SECONDS = 30.0
"""Seconds that steps on exit have when a run is stopped: as many as a pod has."""


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a run goes: so many `jobs` at once (0: one a processor), and whether its first failure is its last.

    `force` names tasks or steps that are done whatever is kept. `until` names all that is wanted, with what it needs;
    of `only` the rest has to be kept already. Names may be of groups, loops and branches there. What is done on exit is
    stopped `exit_seconds` after the run was.
    """

    jobs: int = 0
    fail_fast: bool = False
    force: frozenset[str] = frozenset()
    until: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    exit_seconds: float = EXIT_SECONDS
