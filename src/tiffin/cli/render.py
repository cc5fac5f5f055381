"""Progress on stderr: live on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import msgspec

from tiffin.progress import Advanced, Event, Finished, Noted, Sink, Started, listening

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
    guard = threading.Lock()

    def sink(event: Event) -> None:
        line = _line(event)
        if line:
            with guard:
                print(line, file=out, flush=True)

    return sink


def _line(event: Event) -> str:
    if isinstance(event, Noted):
        return f"note: {event.message}"
    if isinstance(event, Finished) and (event.seconds >= QUIET_SECONDS or event.failed):
        ending = "failed after " if event.failed else ""
        how = "cached" if event.cached else f"{ending}{event.seconds:.2f} s"
        return f"{event.name:<9} {event.detail}  ({how})"
    return ""


@contextmanager
def _live() -> Iterator[Sink]:
    """Show running steps with rich, and finished ones as lines above them."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    tasks: dict[int, TaskID] = {}

    def sink(event: Event) -> None:
        if isinstance(event, Started):
            tasks[event.id] = bar.add_task(f"{event.name:<9} {event.detail}", total=event.total)
        elif isinstance(event, Advanced) and event.id in tasks:
            bar.advance(tasks[event.id], event.by)
        elif isinstance(event, Finished) and event.id in tasks:
            bar.remove_task(tasks.pop(event.id))
        if line := _line(event):
            console.print(line, markup=False, soft_wrap=True)

    with bar:
        yield sink
