"""How a container's limits are held on this machine: by control groups where there are any, else by other means.

    memory      a group; else the keeper looks (`watch`) and ends the container
    cpus        a group; else fewer processors, whole ones, which a program that wants to can take back
    processes   a group; else RLIMIT_NPROC, which the kernel counts in each user namespace since Linux 5.14

Standard library only.
"""

from __future__ import annotations

import math
import os
import resource

from tiffin.engine.embedded import cgroup, stage

_CONTROLLERS = {"memory": "memory", "cpus": "cpu", "processes": "pids"}
_COUNTED_APART = (5, 14)
_OURS = 2
"""Processes of the keeper's user namespace that are none of the container: the keeper and bubblewrap."""


class Held:
    """What holds a container's limits; a process that is to become it takes them on."""

    def __init__(self) -> None:
        self.by: dict[str, str] = {}
        """What holds each limit, in words."""
        self.groups: list[str] = []
        self.memory = 0
        """Bytes that the keeper watches over."""
        self._processors: list[int] = []
        self._processes = 0
        self._deaths = 0

    def hold(self, limit: str, amount: float, name: str, places: dict[str, cgroup.Place]) -> None:
        """Find what holds a limit here; raises Refused where nothing does."""
        if made := cgroup.make(_CONTROLLERS[limit], name, amount, places):
            self.by[limit] = f"cgroup v{made[1]}"
            self.groups += [made[0]] if made[0] not in self.groups else []
        elif limit == "memory":
            self.by[limit], self.memory = "keeper", int(amount)
        elif limit == "cpus":
            self.by[limit], self._processors = "affinity", share(sorted(os.sched_getaffinity(0)), amount, name)
        else:
            _need_own_count()
            self.by[limit], self._processes = "rlimit", int(amount) + _OURS

    def take_on(self) -> None:
        """Limit this process and its children; as root, before it becomes somebody else."""
        for group in self.groups:
            cgroup.enter(group)
        if self._processors:
            os.sched_setaffinity(0, self._processors)
        if self._processes:
            resource.setrlimit(resource.RLIMIT_NPROC, (self._processes, self._processes))

    def killed_for_memory(self) -> bool:
        """Whether the kernel killed a process of the container for its memory since this was asked last."""
        deaths = sum(cgroup.killed_for_memory(group) for group in self.groups)
        before, self._deaths = self._deaths, deaths
        return deaths > before


def hold(limits: dict[str, float], identity: str) -> Held:
    """Find what holds each limit of a container; one that is 0 is none."""
    held = Held()
    wanted = {limit: amount for limit, amount in limits.items() if amount}
    if wanted:
        places = cgroup.here()
        cgroup.sweep(identity, places)
        for limit, amount in wanted.items():
            held.hold(limit, amount, f"{identity}.{os.getpid()}", places)
    return held


def share(processors: list[int], amount: float, name: str) -> list[int]:
    """Choose as many processors as are asked for, rounded up; another container starts at another one."""
    count = min(len(processors), math.ceil(amount))
    first = sum(name.encode()) % len(processors)
    return sorted((processors * 2)[first : first + count])


def _need_own_count() -> None:
    """The kernel must count the container's processes apart from its user's others."""
    major, minor = (int(part) for part in os.uname().release.split(".")[:2])
    if os.geteuid() == 0 or (major, minor) < _COUNTED_APART:
        raise stage.Refused(
            "unsupported",
            "nothing here holds a limit of processes: the control group `pids` cannot be written",
            "leave `--pids-limit` out, or mount /sys/fs/cgroup so that it can be written",
        )
