"""Control groups: where this process may make further ones, and what a limit is called there. Standard library only.

A machine has each controller in a hierarchy of its own (version 1), or all in one (version 2), or some here and some
there (hybrid). A container's groups are `tiffin/<ID>.<keeper>` below the group that started it; in version 2 below the
nearest one that hands the controller on, since a group that does so has no processes of its own (cgroups(7)).
"""

from __future__ import annotations

import contextlib
import os
import time

PARENT = "tiffin"
"""The group that has containers' groups."""
_PERIOD = 100_000
"""Microseconds in which a share of processors is counted, as in docker."""
_PATIENCE, _PAUSE = 2.0, 0.005
"""Seconds that the last processes of a group get to leave it, and between two looks."""
_ATTEMPTS = 3


class Place:
    """The group of a hierarchy in which this process is: its folder, and the one of the whole hierarchy."""

    def __init__(self, version: int, folder: str, top: str) -> None:
        self.version, self.folder, self.top = version, folder, top

    def parents(self) -> list[str]:
        """The groups below which a further one could be, nearest first."""
        if self.version == 1:
            return [self.folder]
        found = [self.folder]
        while found[-1] != self.top:
            found.append(found[-1].rpartition("/")[0])
        return found


def places(mountinfo: str, own: str) -> dict[str, Place]:
    """Read /proc/self/mountinfo and /proc/self/cgroup: the place of each controller; version 2 is called ``""``."""
    groups: dict[str, str] = {}
    for line in own.splitlines():
        _, names, path = line.split(":", 2)
        groups |= dict.fromkeys(names.split(","), path)
    found: dict[str, Place] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        root, top = left.split()[3:5]
        for name in {"cgroup": options.split(","), "cgroup2": [""]}.get(kind, ()):
            if (folder := _below(top, root, groups.get(name))) is not None:
                found.setdefault(name, Place(2 if not name else 1, folder, top))
    return found


def here() -> dict[str, Place]:
    """The places of this process; none where the kernel has no control groups."""
    try:
        return places(read("/proc/self/mountinfo"), read("/proc/self/cgroup"))
    except OSError:
        return {}


def settings(controller: str, version: int, amount: float) -> list[tuple[str, str, bool]]:
    """What is written into a group: file, text, and whether it must be possible.

    Swap counts as memory. bubblewrap is a process of the group and none of the container.
    """
    quota, period, whole = str(int(amount * _PERIOD)), str(_PERIOD), str(int(amount))
    return {
        ("memory", 1): [
            ("memory.limit_in_bytes", whole, True),
            ("memory.memsw.limit_in_bytes", whole, False),
        ],
        ("memory", 2): [("memory.max", whole, True), ("memory.swap.max", "0", False)],
        ("cpu", 1): [("cpu.cfs_period_us", period, True), ("cpu.cfs_quota_us", quota, True)],
        ("cpu", 2): [("cpu.max", f"{quota} {period}", True)],
    }.get((controller, version), [("pids.max", str(int(amount) + 1), True)])


def make(controller: str, name: str, amount: float, found: dict[str, Place]) -> tuple[str, int] | None:
    """Make a group that holds a limit; returns its folder and version, or None where that cannot be."""
    place = found.get(controller) or found.get("")
    for parent in place.parents() if place else ():
        for _ in range(_ATTEMPTS):  # somebody else may just remove the parent
            with contextlib.suppress(OSError):
                assert place  # noqa: S101 - else there are no parents
                return _make(controller, f"{parent}/{PARENT}/{name}", amount, place.version), place.version
    return None


def _make(controller: str, group: str, amount: float, version: int) -> str:
    parent = group.rpartition("/")[0]
    made = False
    try:
        if version != 1:
            _hand_on(controller, parent.rpartition("/")[0])
        _make_folder(parent)
        if version != 1:
            _hand_on(controller, parent)
        made = _make_folder(group)  # in version 2 one group holds several limits
        for file, text, needed in settings(controller, version, amount):
            with contextlib.suppress(*([] if needed else [OSError])):
                _write(f"{group}/{file}", text)
        if os.geteuid():
            _try_to_enter(group)
    except OSError:
        if made:
            _remove(group)
        _remove(parent)
        raise
    return group


def _make_folder(path: str) -> bool:
    """Make a group; says whether it was not there."""
    try:
        os.mkdir(path, 0o755)  # noqa: PTH102 - see `stage`
    except FileExistsError:
        return False
    return True


def _hand_on(controller: str, group: str) -> None:
    """Let the groups below one have a controller."""
    if controller not in read(f"{group}/cgroup.subtree_control").split():
        _write(f"{group}/cgroup.subtree_control", f"+{controller}")


def _try_to_enter(group: str) -> None:
    """Have a process enter a group: whether an ordinary user's may depends on where it comes from."""
    child = os.fork()
    if not child:
        try:
            enter(group)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise PermissionError(group)


def enter(group: str) -> None:
    """Let this process be in a group, and its children."""
    _write(f"{group}/cgroup.procs", "0")


def killed_for_memory(group: str) -> int:
    """How often the kernel killed a process of a group because it took too much memory."""
    for file in ("memory.oom_control", "memory.events"):
        with contextlib.suppress(OSError):
            fields = dict(line.split() for line in read(f"{group}/{file}").splitlines())
            return int(fields.get("oom_kill", 0))
    return 0


def remove(groups: list[str]) -> None:
    """Remove groups when their last processes have left them."""
    due = time.monotonic() + _PATIENCE
    for group in groups:
        while not _remove(group) and time.monotonic() < due:
            time.sleep(_PAUSE)
        _remove(group.rpartition("/")[0])


def sweep(identity: str, found: dict[str, Place]) -> None:
    """Remove groups of a container that does not run: what a keeper and its steward left that were killed."""
    for parent in {f"{above}/{PARENT}" for place in found.values() for above in place.parents()}:
        with contextlib.suppress(OSError):
            names = os.listdir(parent)  # noqa: PTH208 - see `stage`
            remove([f"{parent}/{name}" for name in names if name.startswith(f"{identity}.")])


def _remove(group: str) -> bool:
    """Remove an empty group; says whether it is gone."""
    try:
        os.rmdir(group)  # noqa: PTH106 - see `stage`
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _below(top: str, root: str, path: str | None) -> str | None:
    """Where a group lies whose hierarchy is mounted from `root` on; None for one outside of it."""
    if path is None or not f"{path}/".startswith(f"{root.rstrip('/')}/"):
        return None
    return f"{top}{path[len(root.rstrip('/')) :]}".rstrip("/")


def read(path: str) -> str:
    """Read a small file of the kernel's."""
    with open(path) as stream:  # noqa: PTH123 - see `stage`
        return stream.read()


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
