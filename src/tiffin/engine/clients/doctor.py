"""What docker and podman can do here, as findings: decided from what each says of itself and of the machine."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tiffin.engine.clients.dialect import DOCKER, PODMAN, Dialect, refusal
from tiffin.engine.findings import Finding, warning, well
from tiffin.oci.documents import decode_foreign

ANSWER_SECONDS = 10
"""Seconds after which a program that said nothing is taken not to answer."""
_INFO = ("info", "--format", "{{json .}}")
_WANTED = 1 << 20
"""What podman asks for where nobody says otherwise, as the limit of files and of processes."""
_SYS_RESOURCE = 1 << 24
"""The capability to raise limits, in the mask of /proc/PID/status (capabilities(7))."""
_SPACE = 5 << 30
"""Bytes below which a place for images is worth a warning."""
_ULIMITS = '`[containers]` and `default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]`'
_CONF = "~/.config/containers/containers.conf, or /etc/containers/containers.conf"


class _Client(msgspec.Struct, rename="pascal"):
    version: str = ""


class DockerInfo(msgspec.Struct, rename="pascal"):
    """What `docker info` says; without a daemon only the client's part."""

    server_version: str = ""
    driver: str = ""
    cgroup_version: str = ""
    docker_root_dir: str = ""
    security_options: list[str] | None = None
    client_info: _Client = msgspec.field(default_factory=_Client)


class _Security(msgspec.Struct):
    rootless: bool = False


class _Program(msgspec.Struct):
    name: str = ""
    executable: str = ""


class _Host(msgspec.Struct, rename="camel"):
    security: _Security = msgspec.field(default_factory=_Security)
    cgroup_version: str = ""
    oci_runtime: _Program = msgspec.field(default_factory=_Program)
    slirp4netns: _Program = msgspec.field(default_factory=_Program)
    pasta: _Program = msgspec.field(default_factory=_Program)


class _Storage(msgspec.Struct, rename="camel"):
    graph_driver_name: str = ""
    graph_root: str = ""


class _Version(msgspec.Struct):
    version: str = msgspec.field(default="", name="Version")


class PodmanInfo(msgspec.Struct):
    """What `podman info` says."""

    host: _Host = msgspec.field(default_factory=_Host)
    store: _Storage = msgspec.field(default_factory=_Storage)
    version: _Version = msgspec.field(default_factory=_Version)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many open files and processes this process may ask for, whether it may raise that, and what is configured."""

    files: int
    processes: int
    may_raise: bool
    configured: bool

    @classmethod
    def here(cls, environment: Mapping[str, str]) -> Limits:
        """Look at this process and at podman's settings."""
        files, processes = (
            _WANTED if (hard := resource.getrlimit(kind)[1]) == resource.RLIM_INFINITY else hard
            for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
        )
        status = dict(line.split(":", 1) for line in _text("/proc/self/status").splitlines() if ":" in line)
        may_raise = bool(int(status.get("CapEff", "0"), 16) & _SYS_RESOURCE)
        home = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '')}/.config"
        named = environment.get("CONTAINERS_CONF", "")
        places = (named,) if named else ("/etc/containers/containers.conf", f"{home}/containers/containers.conf")
        lines = [line.strip() for place in places for line in _text(place).splitlines()]
        configured = any(line.startswith("default_ulimits") for line in lines)
        return cls(files=files, processes=processes, may_raise=may_raise, configured=configured)


def findings(environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Ask docker and podman, and say of each what it can do; one that is not installed is missed by nobody."""
    found: list[Finding] = []
    for dialect in (DOCKER, PODMAN):
        answer = _ask(dialect, environment)
        if isinstance(answer, Finding):
            found.append(answer)
        elif dialect is DOCKER:
            info = decode_foreign(DockerInfo, answer, "what docker says of itself")
            found += [docker(info), *room("docker", info.docker_root_dir)]
        else:
            told = decode_foreign(PodmanInfo, answer, "what podman says of itself")
            found += [*podman(told, Limits.here(environment)), *room("podman", told.store.graph_root)]
    return found


def docker(info: DockerInfo) -> Finding:
    """A daemon that answers."""
    rootless = any("rootless" in option for option in info.security_options or ())
    whose = "yours" if rootless else "root's: whoever may use it can become root on its machine"
    version = f"{info.server_version} (client {info.client_info.version})"
    return well("docker", f"{version} answers, {info.driver}, cgroups v{info.cgroup_version}; it is {whose}")


def podman(info: PodmanInfo, limits: Limits) -> list[Finding]:
    """What stands between podman and a container that runs, one by one."""
    host = info.host
    whose = "as you" if host.security.rootless else "as root"
    shown = f"{info.version.version} answers, {info.store.graph_driver_name}, cgroups {host.cgroup_version}, {whose}"
    found = [well("podman", f"{shown}, with {host.oci_runtime.name}")]
    if host.oci_runtime.name == "crun" and host.cgroup_version == "v1":
        hint = f'`sudo apt-get install runc`, and `[engine]` and `runtime = "runc"` in {_CONF}'
        found.append(warning("podman's runtime", "crun may not start containers with cgroups v1", hint))
    if refused_limits(limits, rootless=host.security.rootless):
        few = min(limits.files, limits.processes)
        message = f"it asks for {_WANTED} open files and processes, and may have {few}: `error setting rlimit`"
        found.append(warning("podman's limits", message, f"{_ULIMITS} in {_CONF}"))
    if host.security.rootless and not (host.slirp4netns.executable or host.pasta.executable):
        message = "neither pasta nor slirp4netns is there: its containers cannot publish ports"
        found.append(warning("podman's network", message, "`sudo apt-get install passt slirp4netns`"))
    return found


def refused_limits(limits: Limits, *, rootless: bool) -> bool:
    """Whether podman will ask for more than it may have; a rootless one asks for what there is."""
    enough = min(limits.files, limits.processes) >= _WANTED
    return not (rootless or limits.may_raise or limits.configured or enough)


def room(name: str, place: str) -> list[Finding]:
    """Room where the program keeps its images, if that is on this machine and little."""
    if not place or not Path(place).exists():
        return []
    free = shutil.disk_usage(place).free
    if free >= _SPACE:
        return []
    return [warning(f"{name}'s disk", f"{free >> 20} MiB free in {place}", f"`{name} system prune` makes room")]


def _ask(dialect: Dialect, environment: Mapping[str, str]) -> bytes | Finding:
    """What the program says of itself, or why it says nothing."""
    program = shutil.which(dialect.name, path=environment.get("PATH"))
    if not program:
        return well(dialect.name, f"not installed; nothing needs it but `--engine {dialect.name}`")
    try:
        done = subprocess.run(
            [program, *_INFO],
            env=dict(environment) | {"LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"`{dialect.name} info` did not answer within {ANSWER_SECONDS} s"
        return warning(dialect.name, message, f"see what it waits for: `{dialect.name} info`")
    said = done.stderr.decode(errors="replace")
    if done.returncode or not done.stdout.strip():
        error = refusal(dialect, "info", done.returncode, said)
        return warning(dialect.name, error.message, error.hint or "")
    return done.stdout


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
