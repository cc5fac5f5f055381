"""Ending what has run for too long, or is wanted no more, while somebody else listens to it."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Protocol, Self

from tiffin.pipeline.benches.endings import STOPPED, took_longer

_PAUSE = 0.02
"""Seconds between two looks at whether it is to stop."""


class Stops(Protocol):
    """What can be told to end, and has ended when that returns."""

    def stop(self, seconds: float | None = None) -> None:
        """End it, of its own will within these seconds."""
        ...


class Watch:
    """Ends something when a time is over or an event comes; `reason` says which, and is empty where it ended itself."""

    def __init__(self, watched: Stops, seconds: float, stopped: threading.Event) -> None:
        """Give it so many seconds, 0 for any number."""
        self.reason = ""
        self._watched, self._seconds, self._stopped = watched, seconds, stopped
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._due = time.monotonic() + self._seconds if self._seconds else None
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_PAUSE):
            if self._stopped.is_set():
                self.reason = STOPPED
            elif self._due is not None and time.monotonic() > self._due:
                self.reason = took_longer(self._seconds)
            if self.reason:
                self._watched.stop()
                return
