"""What this machine can do for containers, as findings with what to do about each."""

from __future__ import annotations

import getpass
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tiffin.engine.embedded.denied import explain, forbidding, text
from tiffin.engine.embedded.machine import Machine, find_bubblewrap, user_to_become
from tiffin.engine.embedded.tool import tool_argv
from tiffin.engine.findings import Finding, Level, warning, well
from tiffin.errors import TiffinError

OLDEST_KERNEL = (5, 11)
"""The first that stacks overlays in a user namespace."""
_SPACE = 5 << 30
"""Bytes below which a data folder is worth a warning: an image with torch unpacks to about as much."""
_PROBE = "/probe"
_PROBE_SECONDS = 20


def findings(data: Path) -> list[Finding]:
    """Look at everything the embedded engine depends on, for containers in this data folder."""
    found = [
        kernel(platform.release(), children=Path("/proc/thread-self/children").exists()),
        bubblewrap(),
        *namespaces(text),
        cgroups(text("/proc/self/mountinfo"), text("/proc/self/cgroup"), writable),
        user(os.geteuid(), text("/proc/self/uid_map")),
        subordinate_ids(_username(), text("/etc/subuid"), program=bool(shutil.which("newuidmap"))),
        outbound(tuple(name for name in ("pasta", "slirp4netns") if shutil.which(name))),
        *programs_in_memory(text("/proc/sys/vm/memfd_noexec")),
        space(data),
    ]
    return found if any(finding.level is Level.FAIL for finding in found) else [*found, probe()]


def kernel(release: str, *, children: bool) -> Finding:
    """The kernel must stack overlays in a user namespace and tell a process's children."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    if numbers < OLDEST_KERNEL:
        return Finding(
            level=Level.FAIL,
            subject="kernel",
            message=f"Linux {release} cannot stack overlays in a user namespace",
            hint="upgrade to 5.11 or newer, or use `--engine docker`",
        )
    if not children:
        return Finding(
            level=Level.FAIL,
            subject="kernel",
            message=f"Linux {release} has no /proc/PID/task/TID/children",
            hint="use a kernel with CONFIG_PROC_CHILDREN, as every distribution's is, or `--engine docker`",
        )
    return Finding(level=Level.OK, subject="kernel", message=f"Linux {release}")


def bubblewrap() -> Finding:
    """The program that makes containers."""
    try:
        found = find_bubblewrap().program
    except TiffinError as error:
        return Finding(level=Level.FAIL, subject="bubblewrap", message=error.message, hint=error.hint or "")
    return Finding(level=Level.OK, subject="bubblewrap", message=found)


def namespaces(read: Callable[[str], str]) -> list[Finding]:
    """The settings that forbid user namespaces; `probe` then tries them."""
    return [
        Finding(
            level=Level.FAIL,
            subject="user namespaces",
            message=f"{setting.path} is {setting.value}",
            hint=f"`{setting.fix}`",
        )
        for setting in forbidding(read)
    ]


def cgroups(mountinfo: str, membership: str, may_write: Callable[[str], bool]) -> Finding:
    """How memory, processor and process limits can be kept here."""
    kinds = {line.partition(" - ")[2].partition(" ")[0] for line in mountinfo.splitlines()}
    own = next((line.removeprefix("0::") for line in membership.splitlines() if line.startswith("0::")), "/")
    if "cgroup" in kinds:
        name = "hybrid v1 and v2" if "cgroup2" in kinds else "v1"
        writing = may_write("/sys/fs/cgroup/memory")
    else:
        name, writing = ("v2", may_write(f"/sys/fs/cgroup{own}")) if "cgroup2" in kinds else ("absent", False)
    if writing:
        return Finding(level=Level.OK, subject="cgroups", message=f"{name}, writable: the kernel can keep limits")
    return Finding(
        level=Level.WARN,
        subject="cgroups",
        message=f"{name}, not writable: limits can only be kept by watching",
        hint="with systemd, run tiffin in `systemd-run --user --scope -p Delegate=yes`",
    )


def writable(path: str) -> bool:
    """Whether a folder can be written."""
    return os.access(path, os.W_OK)


def user(euid: int, uid_map: str) -> Finding:
    """Whom containers run as on the host."""
    become = user_to_become(euid, uid_map)
    if become is not None:
        message = (
            f"as root, containers run as the unprivileged user {become}, which must be able to read what is mounted"
        )
    else:
        message = f"containers run as you ({euid}) and can reach nothing that is not mounted"
    return Finding(level=Level.OK, subject="container user", message=message)


def subordinate_ids(name: str, subuid: str, *, program: bool) -> Finding:
    """Whether images that need several users can have them."""
    if name == "root":
        return Finding(level=Level.OK, subject="subordinate ids", message="root gives containers a range of its own")
    given = any(line.startswith(f"{name}:") for line in subuid.splitlines())
    if given and program:
        return Finding(level=Level.OK, subject="subordinate ids", message=f"{name} has some in /etc/subuid")
    missing = "newuidmap is not installed" if given else f"/etc/subuid gives {name} none"
    return Finding(
        level=Level.WARN,
        subject="subordinate ids",
        message=f"{missing}: images that need several users cannot run (Tiffin's own need one)",
        hint=f"`sudo apt-get install uidmap && sudo usermod --add-subuids 100000-165535 "
        f"--add-subgids 100000-165535 {name}`",
    )


def outbound(programs: tuple[str, ...]) -> Finding:
    """Whether a container can reach the outside from a network of its own."""
    if programs:
        return well("outbound network", f"{programs[0]} can give a container one of its own: `--network user`")
    return warning(
        "outbound network",
        "neither pasta nor slirp4netns is there: `--network user` cannot be had (`none` and `host` can)",
        "`sudo apt-get install passt`",
    )


def programs_in_memory(setting: str) -> list[Finding]:
    """What `exec` needs: a program in sealed memory, so that a container comes by none of the host's (ADR 22)."""
    if setting.strip() != "2":
        return []
    message = "vm.memfd_noexec is 2: `tiffin exec` cannot run programs"
    return [warning("programs in memory", message, "`sudo sysctl -w vm.memfd_noexec=1`")]


def space(data: Path) -> Finding:
    """Room for unpacked layers where containers are kept."""
    there = next(parent for parent in (data, *data.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < _SPACE:
        return Finding(
            level=Level.WARN,
            subject="disk",
            message=f"{free >> 20} MiB free in {data}",
            hint="`tiffin prune` removes what no container uses; TIFFIN_HOME moves everything",
        )
    return Finding(level=Level.OK, subject="disk", message=f"{free >> 30} GiB free in {data}")


def _username() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as in many containers
        return str(os.geteuid())


def probe() -> Finding:
    """Build a container of nothing, up to the moment when its program, which there is not, would run."""
    with tempfile.TemporaryDirectory(prefix="tiffin-") as folder:
        Path(folder).chmod(0o755)
        argv = tool_argv([Path(folder)], [_PROBE], machine=Machine.here())
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_PROBE_SECONDS)
    if f"execvp {_PROBE}" in done.stderr:
        return Finding(
            level=Level.OK, subject="containers", message="namespaces, overlay and seccomp filter work (tried just now)"
        )
    why, hint = explain(text)
    said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
    return Finding(level=Level.FAIL, subject="containers", message=f"{said}: {why}", hint=hint)
