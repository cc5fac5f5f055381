"""Watching over a container's memory where no control group does. Standard library only.

What counts is what the kernel could not take back: memory of its own, shared memory, and files in its tmpfs. Pages of
files that lie on a disk are not counted, as they do not end a container of a control group either. A look costs little
while all that is resident is less than the limit; only then are pages shared out (PSS).
"""

from __future__ import annotations

import os

from tiffin.engine.embedded import linux

_PAGE = os.sysconf("SC_PAGE_SIZE")
_KIBIBYTE = 1024
_FASTEST = 4 << 30
"""Bytes that a program takes in a second at most, as a guess: the next look comes before they could be too many."""
_OFTEN, _RARELY = 0.02, 0.5


class Watch:
    """The memory of the container whose first process is given; `places` are its folders in memory."""

    def __init__(self, limit: int, program: int, places: list[str]) -> None:
        self._limit = limit
        root = os.open(f"/proc/{program}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        processes, *self._places = (linux.open_inside(root, place) for place in ("/proc", *places))
        self._processes = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=processes)
        os.close(processes)
        os.close(root)

    def close(self) -> None:
        """Watch no longer."""
        for descriptor in (self._processes, *self._places):
            os.close(descriptor)

    def used(self) -> int:
        """Bytes that it uses; an upper bound of them while that is within the limit."""
        files = sum(_files(place) for place in self._places)
        names = [name for name in os.listdir(self._processes) if name.isdecimal()]  # noqa: PTH208 - a descriptor
        resident = sum(self._number(f"{name}/statm") for name in names) * _PAGE
        if resident + files <= self._limit:
            return resident + files
        sizes = [self._shared_out(name) for name in names]
        return sum(own for own, _ in sizes) + max(files, sum(shared for _, shared in sizes))

    def pause(self, used: int) -> float:
        """Seconds until the next look: the less is left, the sooner."""
        return min(_RARELY, max(_OFTEN, (self._limit - used) / _FASTEST))

    def _number(self, path: str) -> int:
        fields = self._read(path).split()
        return int(fields[1]) if fields else 0

    def _shared_out(self, name: str) -> tuple[int, int]:
        """Bytes of a process's own memory and of its part of what is shared."""
        sizes = {}
        for line in self._read(f"{name}/smaps_rollup").splitlines():
            label, _, rest = line.partition(":")
            sizes[label] = int(rest.split()[0]) * _KIBIBYTE if label.startswith("Pss") else 0
        return sizes.get("Pss_Anon", sizes.get("Pss", 0)), sizes.get("Pss_Shmem", 0)

    def _read(self, path: str) -> str:
        """Read of a process; one that has just ended uses nothing."""
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._processes)) as stream:
                return stream.read()
        except OSError:
            return ""


def _files(place: int) -> int:
    """Bytes of files in a tmpfs."""
    found = os.statvfs(place)
    return int(found.f_blocks - found.f_bfree) * found.f_frsize
