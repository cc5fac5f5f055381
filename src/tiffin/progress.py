"""What is happening, as typed events to whoever listens.

Work says `with step("resolve", "scikit-learn"):` and `note("...")`; it never prints. A renderer (the command line's
live view, plain lines, JSON lines, or a test's list) is put in a `ContextVar` with `listening(sink)`. `parallel()` is
the one place where threads are made; it carries the listener into them.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

T = TypeVar("T")
R = TypeVar("R")


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """A step began; `total` is in `unit`s where it is known."""

    id: int
    name: str
    detail: str = ""
    total: int | None = None
    unit: str = ""


class Advanced(msgspec.Struct, frozen=True, kw_only=True, tag="advanced"):
    """A step got `by` units further."""

    id: int
    by: int


class Noted(msgspec.Struct, frozen=True, kw_only=True, tag="noted", omit_defaults=True):
    """A sentence the user should see, such as a feature that is off here and why; `plain` ones are no mere notes."""

    message: str
    plain: bool = False


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    """A step ended after `seconds`; `cached` says that nothing had to be done."""

    id: int
    name: str
    detail: str = ""
    seconds: float
    cached: bool = False
    failed: bool = False
    always: bool = False
    """Whether it is worth a line however soon it ended."""


Event = Started | Advanced | Noted | Finished
Sink = Callable[[Event], None]


def _nobody(_: Event) -> None:
    """Hear nothing: the default when no renderer listens."""


_sink: contextvars.ContextVar[Sink] = contextvars.ContextVar("tiffin-progress", default=_nobody)
_ids = itertools.count(1)


class Step:
    """A running step; its owner advances it and may say that a cache answered or how it ended."""

    def __init__(self, id_: int, detail: str) -> None:
        self._id = id_
        self.detail = detail
        self.cached = False
        self.always = False

    def advance(self, by: int) -> None:
        """Say that the step got `by` units further."""
        _sink.get()(Advanced(id=self._id, by=by))


@contextlib.contextmanager
def listening(sink: Sink) -> Iterator[None]:
    """Send every event of this context to `sink`."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


@contextlib.contextmanager
def step(name: str, detail: str = "", *, total: int | None = None, unit: str = "") -> Iterator[Step]:
    """Report the start and the end of a piece of work, with its time in seconds."""
    sink, running, began = _sink.get(), Step(next(_ids), detail), time.perf_counter()
    sink(Started(id=running._id, name=name, detail=detail, total=total, unit=unit))  # noqa: SLF001 - this module owns Step
    failed = True
    try:
        yield running
        failed = False
    finally:
        seconds = time.perf_counter() - began
        sink(
            Finished(
                id=running._id,  # noqa: SLF001 - this module owns Step
                name=name,
                detail=running.detail,
                seconds=seconds,
                cached=running.cached,
                failed=failed,
                always=running.always,
            )
        )


def note(message: str) -> None:
    """Tell the listener a sentence the user should see."""
    _sink.get()(Noted(message=message))


def say(line: str) -> None:
    """Tell the listener a line that the user should see as it is."""
    _sink.get()(Noted(message=line, plain=True))


@contextlib.contextmanager
def rewording(reworded: Callable[[Event], Event | None]) -> Iterator[None]:
    """Have the listener of this context hear each event as it is reworded, and nothing of those that become None."""
    sink = _sink.get()

    def told(event: Event) -> None:
        if (new := reworded(event)) is not None:
            sink(new)

    with listening(told):
        yield


def parallel(work: Callable[[T], R], items: Iterable[T], *, workers: int | None = None) -> list[R]:
    """Do `work` on every item in threads; results come in order, the first error is raised and the rest cancelled."""
    todo = list(items)
    if len(todo) <= 1:
        return [work(item) for item in todo]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most starts of the command need no threads

    with ThreadPoolExecutor(min(len(todo), workers or os.cpu_count() or 2)) as pool:
        futures = [pool.submit(contextvars.copy_context().run, work, item) for item in todo]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
