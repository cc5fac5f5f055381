"""What a dispatcher works with: a clock, the ways to its workers, and what each of them has to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from tiffin_serve.front.batching.batches import Batch
from tiffin_serve.front.batching.loss import Loss
from tiffin_serve.front.batching.queue import Lane


class Clock(Protocol):
    """What is needed of a loop: to be called later, and when its turn began."""

    def time(self) -> float:
        """Say when the loop last looked at what has come, or what time it is, in seconds of the monotonic clock."""
        ...

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> object:
        """Call back in the next turn."""
        ...

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> object:
        """Call back after so many seconds."""
        ...


class Line(Protocol):
    """The way to one worker."""

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        ...

    def look(self) -> None:
        """Take what the worker has said by now."""
        ...

    def hold(self, *, on: bool) -> None:
        """Read nothing more from the worker for now, or go on."""
        ...

    def kill(self, reason: Loss) -> None:
        """End this worker whatever it is doing; `leave` follows, with the reason."""
        ...


class Errand(msgspec.Struct, eq=False):
    """A batch that is with a worker: since when, until when it is expected, and after when the worker hangs."""

    number: int
    batch: Batch
    lane: Lane
    rows: int
    sent: float
    due: float
    until: float
    told: bool = False
    held: bool = False
