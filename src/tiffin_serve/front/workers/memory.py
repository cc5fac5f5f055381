"""Whether the system has killed for want of memory: what the cgroup counts, of version 1 or 2."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path("/sys/fs/cgroup")
NO_LIMIT = 1 << 60
"""Version 1 says "none" by a number near 2^63."""
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


class Files(NamedTuple):
    """Where a group's kills are counted, and its limit."""

    events: Path
    limit: Path


def find(own: str, root: Path = ROOT) -> Files | None:
    """Find the files of the group that /proc/self/cgroup names; in a container it may be mounted as the root."""
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in own.splitlines() if line)}
    one = next((path for controllers, path in paths.items() if "memory" in controllers.split(",")), None)
    if one is not None:
        folder = _group(root / "memory", one, "memory.oom_control")
        return Files(folder / "memory.oom_control", folder / "memory.limit_in_bytes") if folder else None
    folder = _group(root, paths.get("", "/"), "memory.events")
    return Files(folder / "memory.events", folder / "memory.max") if folder else None


def _group(root: Path, path: str, needed: str) -> Path | None:
    for folder in (root / path.strip("/"), root):
        if (folder / needed).is_file():
            return folder
    return None


class MemoryWatch:
    """Tells a worker that was killed for its memory from one that crashed."""

    def __init__(self, files: Files | None) -> None:
        self._files = files
        self._seen = self._kills()

    def has_killed(self) -> bool:
        """Say whether there was a kill since the last time that this was asked."""
        before, self._seen = self._seen, self._kills()
        return self._seen > before

    @property
    def limit(self) -> str:
        """Say the limit for people, as in "the limit of 512 MiB"; empty where there is none."""
        text = _read(self._files.limit).strip() if self._files else ""
        size = int(text) if text.isdigit() else NO_LIMIT
        for unit, name in _UNITS if size < NO_LIMIT else ():
            if size >= unit:
                return f"the limit of {size / unit:g} {name}"
        return ""

    def _kills(self) -> int:
        words = [line.split() for line in _read(self._files.events).splitlines()] if self._files else []
        return sum(int(word[1]) for word in words if word[:1] == ["oom_kill"] and word[1].isdigit())


def watch() -> MemoryWatch:
    """Watch the group of this process."""
    return MemoryWatch(find(_read(Path("/proc/self/cgroup"))))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
