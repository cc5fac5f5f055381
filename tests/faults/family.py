"""Every process that came of this one, whoever its parent is by now."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
DEADLINE_SECONDS = 60


class Family:
    """The descendants that came after this was made; orphans fall to this process."""

    def __init__(self) -> None:
        """Begin with those who are there, which are somebody else's."""
        self._before = set(_children(os.getpid()))

    def alive(self) -> list[int]:
        """Everybody that runs, parents before children; who has died is buried."""
        found, waiting = [], [pid for pid in _children(os.getpid()) if pid not in self._before]
        while waiting:
            pid = waiting.pop(0)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if state(pid) not in {"", "Z"}:
                found.append(pid)
            waiting += _children(pid)
        return found

    def wait(self) -> None:
        """Wait until nobody runs any more."""
        due = time.monotonic() + DEADLINE_SECONDS
        while left := self.alive():
            words = [Path(f"/proc/{pid}/cmdline") for pid in left]
            assert time.monotonic() < due, f"these run on: {[name(path) for path in words]}"
            time.sleep(0.005)


def name(path: Path) -> str:
    """What a process was started as."""
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace").replace("\0", " ")[:200]
    return ""


def state(pid: int) -> str:
    """The kernel's letter for what a process does; nothing for one that is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    return ""


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


@contextmanager
def family() -> Iterator[Family]:
    """Become whom orphans fall to while the block runs."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield Family()
    finally:
        assert libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0
