"""What the kernel says of the front and the processes under it; read from /proc when a scraper asks, never else."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tiffin_serve.front.metrics.exposition import Family, Sample

PROC = Path("/proc")
MOST = 64
"""Processes below the front that are looked at."""


class Usage(NamedTuple):
    """What a process has used: seconds of CPU, bytes of memory, open files, and when it was started (Unix time)."""

    cpu_seconds: float
    resident_bytes: int
    virtual_bytes: int
    open_files: int
    threads: int
    start_seconds: float


def usage(pid: int, proc: Path = PROC) -> Usage | None:
    """Read what a process has used; None where it has gone or /proc is not there."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        files = len(os.listdir(proc / str(pid) / "fd"))  # noqa: PTH208 - a count; paths would be made for nothing
    except (OSError, ValueError):
        return None
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    return Usage(  # proc(5): the fields after the name begin with the third
        cpu_seconds=(int(fields[11]) + int(fields[12])) / ticks,
        resident_bytes=int(fields[21]) * page,
        virtual_bytes=int(fields[20]),
        open_files=files,
        threads=int(fields[17]),
        start_seconds=_booted(proc) + int(fields[19]) / ticks,
    )


@cache
def _booted(proc: Path) -> float:
    with contextlib.suppress(OSError, ValueError):
        for line in (proc / "stat").read_text().splitlines():
            if line.startswith("btime "):
                return float(line.split()[1])
    return 0.0


def most_files() -> float:
    """Give how many files this process may have open."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if most == resource.RLIM_INFINITY else float(most)


def below(pid: int, proc: Path = PROC) -> list[int]:
    """List the processes that a process has started, and theirs; those that came first are first."""
    found: list[int] = []
    waiting = [pid]
    while waiting and len(found) < MOST:
        children = sorted(_children(waiting.pop(0), proc))
        found += children
        waiting += children
    return found[:MOST]


def _children(pid: int, proc: Path) -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError):
        for thread in (proc / str(pid) / "task").iterdir():
            yield from map(int, (thread / "children").read_text().split())


def processes() -> Iterator[Family]:
    """Give what the kernel says: the front by the names that every scraper knows, those below it by number."""
    own = usage(os.getpid())
    if own is not None:
        yield _of_front("process_cpu_seconds_total", "counter", "CPU time of the front.", own.cpu_seconds)
        yield _of_front("process_resident_memory_bytes", "gauge", "Memory of the front.", own.resident_bytes)
        yield _of_front("process_virtual_memory_bytes", "gauge", "Address space of the front.", own.virtual_bytes)
        yield _of_front("process_open_fds", "gauge", "Files the front has open.", own.open_files)
        yield _of_front("process_max_fds", "gauge", "Files the front may have open.", most_files())
        yield _of_front("process_start_time_seconds", "gauge", "When the front was started.", own.start_seconds)
    workers = [(str(number), used) for number, pid in enumerate(below(os.getpid())) if (used := usage(pid))]
    for name, kind, meaning, value in (
        ("tiffin_worker_cpu_seconds_total", "counter", "CPU time of processes below the front.", "cpu_seconds"),
        ("tiffin_worker_resident_memory_bytes", "gauge", "Memory of processes below the front.", "resident_bytes"),
        ("tiffin_worker_open_fds", "gauge", "Files that processes below the front have open.", "open_files"),
        ("tiffin_worker_threads", "gauge", "Threads of processes below the front.", "threads"),
        ("tiffin_worker_start_time_seconds", "gauge", "When they were started.", "start_seconds"),
    ):
        yield Family(
            name, kind, meaning, [Sample({"worker": number}, getattr(used, value)) for number, used in workers]
        )


def _of_front(name: str, kind: str, meaning: str, value: float) -> Family:
    return Family(name, kind, meaning, [Sample({}, value)])
