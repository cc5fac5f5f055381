"""Run as a program: starts a step confined, ends whatever is left of it, and ends as it did. Standard library only.

Whatever a step starts stays below this process (PR_SET_CHILD_SUBREAPER), in a session of its own or not. It is killed
when the step ends, is told to end (SIGTERM) and does not, or takes more memory than it may: all of its processes
together, where what they share is counted once (Pss of /proc/PID/smaps_rollup).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from tiffin.engine.embedded.linux import adopt_orphans
from tiffin.pipeline.benches.confined import become

_HEARD = (signal.SIGCHLD, signal.SIGTERM)
_LOOK_SECONDS = 0.2
"""Between two looks at how much memory is taken, and at whether a step that was told to end still goes on."""
_SIGNALLED = 128
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PARENT, _RESIDENT = 1, 21
"""Fields of /proc/PID/stat behind the name (proc_pid_stat(5))."""
_KIB = 1024


def main() -> None:
    """Do what a paper says: `argv`, what it is left (see `confined`), `memory` in bytes, `stop_seconds`.

    Whether it took too much memory is written to the descriptor `report`.
    """
    with open(int(sys.argv[1])) as paper:  # noqa: PTH123 - a descriptor
        told = json.load(paper)
    adopt_orphans()
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    child = os.fork()
    if not child:
        os.close(told["report"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
        os._exit(become(told, told["argv"]))
    code = _guard(child, told)
    _end_all()
    sys.exit(code)


def _guard(child: int, told: dict[str, Any]) -> int:
    """Wait until a step has ended, or end it; its exit code as a shell says it."""
    until = 0.0
    while True:
        heard = signal.sigtimedwait(_HEARD, _LOOK_SECONDS)
        if heard and heard.si_signo == signal.SIGTERM and not until:
            until = time.monotonic() + told["stop_seconds"]
            _signal_group(child, signal.SIGTERM)
        if (status := _reap(child)) is not None:
            code = os.waitstatus_to_exitcode(status)
            return _SIGNALLED - code if code < 0 else code
        if until and time.monotonic() > until:
            _kill(child)
        elif told["memory"] and _takes_more(told["memory"]):
            os.write(told["report"], b"memory")
            _kill(child)


def _reap(child: int) -> int | None:
    """Take what has ended off the kernel's list; the status of the child, if it is among it."""
    with contextlib.suppress(ChildProcessError):
        while True:
            number, status = os.waitpid(-1, os.WNOHANG)
            if number == child:
                return status
            if not number:
                break
    return None


def _signal_group(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, or has no session of its own yet
        os.killpg(child, number)


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _end_all() -> None:
    """Kill what is left: whoever loses its parent becomes this process's child, and is killed in the next round."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for number, parent, _ in _processes():
                if parent == os.getpid():
                    _kill(number)
            os.waitpid(-1, 0)


def _takes_more(most: int) -> bool:
    below = {os.getpid()}
    found = sorted(_processes())  # mostly parents first; one that is missed is found at the next look
    taken = 0
    for number, parent, resident in found:
        if parent in below:
            below.add(number)
            taken += resident
    return taken > most and sum(map(_share, below - {os.getpid()})) > most


def _processes() -> Iterator[tuple[int, int, int]]:
    """Every process that is to be seen: its number, its parent's, and the bytes of it that are in memory."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - names
        if name.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                fields = file.read().rpartition(b")")[2].split()
                yield int(name), int(fields[_PARENT]), int(fields[_RESIDENT]) * _PAGE


def _share(number: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{number}/smaps_rollup") as file:  # noqa: PTH123 - as above
        return sum(int(line.split()[1]) * _KIB for line in file if line.startswith("Pss:"))
    return 0
