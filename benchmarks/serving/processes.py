"""What a process and everything it started use: CPU time and memory, out of /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from benchmarks.memory import family, kilobytes

PROC = Path("/proc")
TICK = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> dict[int, float]:
    """Give the seconds that each process has computed, in user and kernel mode; those that have ended are lost."""
    seconds = {}
    for pid in family([root]):
        with suppress(OSError):
            fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            seconds[pid] = (int(fields[11]) + int(fields[12])) * TICK
    return seconds


def of_session(leader: int) -> list[int]:
    """Find the processes of a session: those that outlive the process that started them are still in it."""
    members = []
    for path in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[3]) == leader:
                members.append(int(path.parent.name))
    return members


def computed_seconds(root: int) -> float:
    """Give what all threads that live have computed, to the nanosecond: ticks are too coarse for who does nothing."""
    nanoseconds = 0
    for pid in family([root]):
        for thread in (PROC / str(pid) / "task").glob("*/schedstat"):
            with suppress(OSError):
                nanoseconds += int(thread.read_text().split()[0])
    return nanoseconds / 1e9


def pss_bytes(root: int) -> dict[int, int]:
    """Give the memory of each process, shared pages divided among those who share them."""
    sizes = {}
    for pid in family([root]):
        with suppress(OSError):
            sizes[pid] = kilobytes(PROC / str(pid) / "smaps_rollup", "Pss") << 10
    return sizes


def spent(before: dict[int, float], after: dict[int, float], pid: int | None = None) -> float:
    """Give the seconds computed between two looks, by all or by one process."""
    return sum(seconds - before.get(one, 0.0) for one, seconds in after.items() if pid in {None, one})
