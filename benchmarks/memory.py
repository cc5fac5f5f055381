"""How much memory a command takes, with everything it starts."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .command import Command

STEP_SECONDS = 0.03
PROC = Path("/proc")


@dataclass(frozen=True)
class Peak:
    """Bytes: the most that one process had, and the most that all had together, shared pages counted once."""

    largest: int = 0
    together: int = 0


def peak(command: Command, daemon: int | None = None) -> Peak:
    """Run a command and watch it, and the daemon that does its work."""
    process, seen = command.start(), Peak()
    while process.poll() is None:
        seen = _joined(seen, _look([process.pid, *([daemon] if daemon else [])]))
        time.sleep(STEP_SECONDS)
    command.finish(process)
    return seen


def _joined(before: Peak, now: Peak) -> Peak:
    return Peak(largest=max(before.largest, now.largest), together=max(before.together, now.together))


def _look(roots: list[int]) -> Peak:
    largest, together = 0, 0
    for pid in family(roots):
        with suppress(OSError, AttributeError):
            largest = max(largest, kilobytes(PROC / str(pid) / "status", "VmHWM"))
            together += kilobytes(PROC / str(pid) / "smaps_rollup", "Pss")
    return Peak(largest=largest << 10, together=together << 10)


def kilobytes(path: Path, name: str) -> int:
    """Read a figure of a file of /proc; 0 where it has none."""
    found = re.search(rf"^{name}:\s+(\d+)", path.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def family(roots: list[int]) -> Iterator[int]:
    """Yield processes and everything they have started."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(path.parent.name))
    todo = list(roots)
    while todo:
        pid = todo.pop()
        yield pid
        todo += children[pid]
