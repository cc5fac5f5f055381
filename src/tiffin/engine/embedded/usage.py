"""What a container uses: its processes are those of its pid namespace, and they are added up."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from tiffin.engine.spec import Usage

_TICKS = os.sysconf("SC_CLK_TCK")
_KIBIBYTE = 1024
_STARTED = 19
"""starttime of the same, in ticks since the machine was booted."""
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


def inhabitants(processes: Iterable[int]) -> dict[int, list[int]]:
    """The processes in the pid namespace of each of these, at one look around; those of this one are not looked for."""
    namespaces = {number: _namespace(number) for number in processes}
    wanted, found = set(namespaces.values()) - {_namespace(os.getpid()), 0}, dict[int, list[int]]()
    for folder in Path("/proc").glob("[0-9]*") if wanted else ():
        inode = _namespace(int(folder.name))
        if inode in wanted:
            found.setdefault(inode, []).append(int(folder.name))
    return {number: found[inode] for number, inode in namespaces.items() if inode in found}


def _namespace(number: int) -> int:
    try:
        return Path(f"/proc/{number}/ns/pid").stat().st_ino
    except OSError:
        return 0


def age_of(process: int) -> float:
    """For how many seconds a process has been there; 0 for one that is not."""
    fields = _read(process, "stat").rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_STARTED]) / _TICKS if fields else 0.0


def processor_seconds(processes: Iterable[int]) -> float:
    """Add up what processes have used of processors; one that has ended has used nothing."""
    return sum(cpu_seconds(text) for number in processes if (text := _read(number, "stat")))


def memory_of(processes: Iterable[int]) -> int:
    """Add up the memory of processes (PSS), which takes the kernel some time; 0 for those of others."""
    return sum(shared_out(text) for number in processes if (text := _read(number, "smaps_rollup")))


def _read(number: int, name: str) -> str:
    try:
        return Path(f"/proc/{number}/{name}").read_text()
    except OSError:
        return ""


def cpu_seconds(stat: str) -> float:
    """Read /proc/PID/stat: processor seconds of a process and of its children that it waited for."""
    fields = stat.rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[_TIMES]) / _TICKS


def shared_out(rollup: str) -> int:
    """Read /proc/PID/smaps_rollup: bytes of memory, each page divided by how many share it (PSS)."""
    sizes = [line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")]
    return sum(int(size) for size in sizes) * _KIBIBYTE
