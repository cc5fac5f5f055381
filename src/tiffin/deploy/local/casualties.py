"""Workers that ended unasked within a replica that lives: how many there were since the last look, and why."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tiffin.deploy.local.replicas import Found
from tiffin.deploy.local.table import Told

WHY = {
    "crash": "it crashed",
    "deadline": "it hung for longer than a request may take",
    "memory": "it took more memory than it may have",
}
_GROUPS = Path("/sys/fs/cgroup")


class Casualties:
    """Counts what a front says of its workers; why one was killed within a container, only the kernel knows."""

    def __init__(self) -> None:
        self._pid = 0
        self._counted: Counter[tuple[str, str]] = Counter()
        self._killed: dict[str, int] = {}
        self._left: frozenset[int] = frozenset()

    def since(self, told: Told, found: Iterable[Found], leaving: Iterable[int]) -> Iterator[tuple[int, str, int]]:
        """Give revision, reason and number of those lost since the last look; the first look at a front gives none.

        A worker that goes with its replica looks to the front as if it had crashed: while replicas of a revision are
        `leaving`, crashes of it are told by what becomes of them.
        """
        left, self._left = self._left | frozenset(leaving), frozenset(leaving)
        counted = Counter(
            {(key, why): count for key, lane in told.revisions.items() for why, count in lane.restarts.items()}
        )
        news = counted - self._counted if told.pid == self._pid else Counter[tuple[str, str]]()
        self._pid, self._counted = told.pid, counted
        living = [one for one in found if one.state.pid]
        known = {one.name: self._killed[one.name] for one in living if one.name in self._killed}
        self._killed = known | {one.name: killed_for_memory(one.state.pid) for one in living if one.name not in known}
        for (key, why), count in sorted(news.items()):
            if why == "crash" and self._any_killed(int(key), living):
                yield int(key), "memory", count
            elif why != "crash" or int(key) not in left:
                yield int(key), why, count

    def _any_killed(self, revision: int, living: Iterable[Found]) -> bool:
        """Whether the kernel has killed in one of a revision's containers since that was asked last."""
        before = dict(self._killed)
        self._killed |= {one.name: killed_for_memory(one.state.pid) for one in living if one.revision == revision}
        return any(count > before.get(name, count) for name, count in self._killed.items())


def killed_for_memory(pid: int, root: Path = _GROUPS) -> int:
    """How often the kernel killed in a process's group because of its memory; 0 where that cannot be seen."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                return _count(root / "memory" / path.strip("/") / "memory.oom_control")
            if not controllers and (file := root / path.strip("/") / "memory.events").exists():
                return _count(file)
    return 0


def _count(file: Path) -> int:
    fields = dict(line.split(maxsplit=1) for line in file.read_text().splitlines())
    return int(fields.get("oom_kill", 0))
