"""What a container uses: its processes are those of its pid namespace, and they are added up."""

from __future__ import annotations

import os
from pathlib import Path

from tiffin.engine.spec import Usage

_TICKS = os.sysconf("SC_CLK_TCK")
_KIBIBYTE = 1024
_TIMES = slice(11, 15)
"""utime, stime, cutime and cstime of /proc/PID/stat, counted from after the name (proc_pid_stat(5))."""


def usage_of(process: int) -> Usage:
    """Add up what the processes in the pid namespace of a process use, given a descriptor of its /proc/PID."""
    own = os.stat("ns/pid", dir_fd=process).st_ino
    seconds, memory, count = 0.0, 0, 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "ns" / "pid").stat().st_ino == own:
                seconds += cpu_seconds((folder / "stat").read_text())
                memory += shared_out((folder / "smaps_rollup").read_text())
                count += 1
        except OSError:  # another user's, or it has just ended
            continue
    return Usage(cpu_seconds=seconds, memory=memory, processes=count)


def cpu_seconds(stat: str) -> float:
    """Read /proc/PID/stat: processor seconds of a process and of its children that it waited for."""
    fields = stat.rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[_TIMES]) / _TICKS


def shared_out(rollup: str) -> int:
    """Read /proc/PID/smaps_rollup: bytes of memory, each page divided by how many share it (PSS)."""
    sizes = [line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")]
    return sum(int(size) for size in sizes) * _KIBIBYTE
