"""Processes that are stopped while nobody asks their model, and the file that says so to the front after this one."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

PROC = Path("/proc")
_STARTED = 19
"""Where proc(5) says when a process began, counted from the field after its name."""


class Stopped:
    """Stops processes and lets them go on; one that was stopped by a front that was killed, too."""

    def __init__(self, record: Path | None = None) -> None:
        """Keep a record, if there is a place for one; nothing is stopped otherwise."""
        self._record = record
        self._pids: set[int] = set()

    def recover(self) -> None:
        """Let those go on that the front before this one had stopped: they would never connect again."""
        if self._record is None:
            return
        with contextlib.suppress(OSError, ValueError):
            for line in self._record.read_text().splitlines():
                pid, began = map(int, line.split())
                if _began(pid) == began:
                    os.kill(pid, signal.SIGCONT)
        self._record.unlink(missing_ok=True)

    def stop(self, pid: int) -> None:
        """Stop a process, if that may be; it is noted before, so that it is never stopped for good."""
        began = _began(pid) if pid else 0
        if self._record is None or not began:
            return
        self._pids.add(pid)
        with contextlib.suppress(OSError):
            with self._record.open("a") as record:
                record.write(f"{pid} {began}\n")
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let all go on."""
        for pid in self._pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        self._pids.clear()
        if self._record is not None:
            self._record.unlink(missing_ok=True)


def _began(pid: int) -> int:
    """Say when a process began, in ticks: with its number that is nobody else's; 0 where it is not to be seen."""
    try:
        return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[_STARTED])
    except (OSError, ValueError, IndexError):
        return 0
