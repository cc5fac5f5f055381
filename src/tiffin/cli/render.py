"""Progress on stderr: live on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import msgspec

from tiffin.cli.amounts import BYTES, amount, human_size
from tiffin.progress import Advanced, Event, Finished, Noted, Sink, Started, listening

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

WORTH = 1_000_000
"""Bytes from which it means something how fast they moved."""
QUIET_SECONDS = 0.005
"""A step that ends sooner than this is not worth a line."""


@contextmanager
def progress(kind: str) -> Iterator[None]:
    """Show progress as `auto`, `live`, `plain`, `json` or `none`."""
    if kind == "auto":
        kind = "live" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    if kind == "none":
        yield
    elif kind == "live":
        with _live() as sink, listening(sink):
            yield
    else:
        with listening(as_json(sys.stderr) if kind == "json" else plain(sys.stderr)):
            yield


def as_json(out: TextIO) -> Sink:
    """Write every event as a line of JSON."""
    guard = threading.Lock()

    def sink(event: Event) -> None:
        with guard:
            print(msgspec.json.encode(event).decode(), file=out, flush=True)

    return sink


def plain(out: TextIO) -> Sink:
    """Write a line when a step ends."""
    guard, line = threading.Lock(), _Lines()

    def sink(event: Event) -> None:
        with guard:
            if text := line(event):
                print(text, file=out, flush=True)

    return sink


class _Lines:
    """The line that an event is worth, or none; of bytes it says how many and how fast."""

    def __init__(self) -> None:
        self._moved: dict[int, int] = {}

    def __call__(self, event: Event) -> str:
        if isinstance(event, Started) and event.unit == BYTES:
            self._moved[event.id] = 0
        if isinstance(event, Advanced) and event.id in self._moved:
            self._moved[event.id] += event.by
        if isinstance(event, Noted):
            return event.message if event.plain else f"note: {event.message}"
        if not isinstance(event, Finished):
            return ""
        moved = self._moved.pop(event.id, 0)
        if event.seconds < QUIET_SECONDS and not (event.failed or event.always):
            return ""
        how = "cached" if event.cached else f"{'failed after ' if event.failed else ''}{event.seconds:.2f} s"
        if moved > 0:
            rate = f", {human_size(moved / event.seconds)}/s" if moved >= WORTH else ""
            how = f"{human_size(moved)} in {how}{rate}"
        return f"{event.name:<9} {event.detail}  ({how})"


@contextmanager
def _live() -> Iterator[Sink]:
    """Show running steps with rich, and finished ones as lines above them."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.text import Text

    class Amount(ProgressColumn):
        """How far a step is."""

        def render(self, task: Task) -> Text:
            return Text(amount(task.completed, task.total, task.speed, task.elapsed, task.fields.get("unit", "")))

    console = Console(stderr=True, highlight=False)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        Amount(),
        console=console,
        transient=True,
    )
    shown = _Shown(bar)
    try:
        yield shown
    finally:
        bar.stop()


class _Shown:
    """Draws steps while any runs; in between the terminal is whoever's program runs then."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[int, TaskID] = {}
        self._line = _Lines()
        self._turn = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._turn:
            self._tell(event)
            if self._tasks:
                self._bar.start()
            else:
                self._bar.stop()

    def _tell(self, event: Event) -> None:
        bar, tasks = self._bar, self._tasks
        if isinstance(event, Started):
            tasks[event.id] = bar.add_task(f"{event.name:<9} {event.detail}", total=event.total, unit=event.unit)
        elif isinstance(event, Advanced) and event.id in tasks:
            bar.advance(tasks[event.id], event.by)
        elif isinstance(event, Finished) and event.id in tasks:
            bar.remove_task(tasks.pop(event.id))
        if text := self._line(event):
            bar.console.print(text, markup=False, soft_wrap=True)
