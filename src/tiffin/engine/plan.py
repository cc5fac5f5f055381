"""From an image's config and what the user asks for to a ContainerSpec: a pure function, the same for every engine."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import msgspec

from tiffin.engine.data import writable_where_declared
from tiffin.engine.declared import declared_data
from tiffin.engine.spec import STOP_SECONDS, ContainerSpec, Limits, Mount, Network, Port, Restart, RestartPolicy, Secret
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.oci.image import Image

SOCKETS = "dev.tiffin.sockets"
"""The label that names the listening sockets an image can inherit: `http=8080,grpc=8081`."""
VERSION = "dev.tiffin.version"
"""The label that every image has that tiffin made to be served."""
ENVIRONMENT = "dev.tiffin.environment"
"""The label of an image that tiffin made for steps to be done in."""
CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_NET_BIND_SERVICE",
)
"""What root has in a container of an image that is not tiffin's: over its own files, users and ports, and nothing else.

Of docker's own set AUDIT_WRITE, MKNOD, NET_RAW, SETFCAP, SETPCAP and SYS_CHROOT are left out (docs/adr/0018).
"""
CAPABILITY_MASK = 0x4FB
"""The same as the kernel counts them (capability.h): bits 0, 1, 3 to 7, and 10."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for in an image that says nothing, as in docker."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,127}")
_VARIABLE = re.compile(r"[^=\0]+")
_HIGHEST_PORT = 65535
_LEAST_MEMORY = 6 << 20
_LEAST_CPUS = 0.01
_HIGHEST_ID = (1 << 32) - 2


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a user says about one container; what is empty or None comes from the image."""

    name: str
    args: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: dict[str, str] = {}
    cwd: str = ""
    user: str = ""
    mounts: tuple[Mount, ...] = ()
    publish: tuple[Port, ...] = ()
    read_only: bool | None = None
    tmpfs: tuple[str, ...] = ()
    network: Network = Network.NONE
    stop_signal: str = ""
    stop_seconds: float = STOP_SECONDS
    labels: dict[str, str] = {}
    stdin: bool = False
    tty: bool = False
    limits: Limits = Limits()
    restart: Restart = Restart()
    secrets: tuple[Secret, ...] = ()
    remove: bool = False
    gpus: str = ""
    devices: tuple[str, ...] = ()
    insisted: tuple[str, ...] = ()
    """Targets of mounts that were asked for with `:ro`, and so stay read-only whatever the image declares."""


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """The text of an image's /etc/passwd and /etc/group, needed only for users that go by name."""

    passwd: str = ""
    group: str = ""


def container_spec(name: str, image: Image, options: RunOptions, accounts: Accounts | None = None) -> ContainerSpec:
    """Decide how a container of the image called `name` runs; raises ConfigError for what cannot be."""
    if not _NAME.fullmatch(options.name):
        raise ConfigError(f"not a container name: {options.name!r}", "a name has letters, digits and . _ -, at most 63")
    run = image.config.config
    labels = run.labels | options.labels
    mounts = tuple(_mount(mount) for mount in options.mounts)
    sockets = parse_sockets(labels.get(SOCKETS, ""))
    return ContainerSpec(
        name=options.name,
        image=name,
        digest=image.descriptor.digest,
        layers=tuple(image.config.rootfs.diff_ids),
        argv=_argv(name, run.entrypoint, run.cmd, options),
        env=environment(run.env) | checked(options.env),
        cwd=absolute("working directory", options.cwd or run.working_dir or "/"),
        user=parse_user(options.user or run.user, accounts or Accounts()),
        mounts=writable_where_declared(mounts, declared_data(labels), _targets(options.insisted)),
        ports=tuple(_port(port, sockets) for port in options.publish),
        sockets=sockets,
        read_only=is_own(run.labels) if options.read_only is None else options.read_only,
        several_ids=not is_own(run.labels),
        tmpfs=tuple(absolute("tmpfs", path) for path in options.tmpfs),
        network=options.network,
        stop_signal=parse_signal(options.stop_signal or run.stop_signal or "SIGTERM"),
        stop_seconds=options.stop_seconds,
        labels=labels,
        stdin=options.stdin,
        tty=options.tty,
        limits=_limits(options.limits),
        restart=_restart(options),
        secrets=options.secrets,
        remove=options.remove,
        devices=options.devices,
    )


def _limits(limits: Limits) -> Limits:
    """Refuse what docker refuses too: less memory than a program starts in, less than a hundredth of a processor."""
    if 0 < limits.memory < _LEAST_MEMORY:
        raise ConfigError(f"{limits.memory} bytes of memory are too few", "give it `--memory 6m` or more")
    if 0 < limits.cpus < _LEAST_CPUS:
        raise ConfigError(f"{limits.cpus:g} of a processor is too little", "give it `--cpus 0.01` or more")
    return limits


def _restart(options: RunOptions) -> Restart:
    """A container that is removed at its end cannot be started again."""
    if options.remove and options.restart.policy is not RestartPolicy.NO:
        raise ConfigError(
            f"--rm removes the container at its end, and --restart {options.restart.policy.value} starts it again",
            "leave one of them out",
        )
    return options.restart


def is_own(labels: Mapping[str, str]) -> bool:
    """Say whether an image is tiffin's: it then needs nothing but one user, a read-only root and inherited sockets."""
    return not {SOCKETS, VERSION, ENVIRONMENT}.isdisjoint(labels)


def environment(lines: list[str]) -> dict[str, str]:
    """Read `KEY=value` lines of an image's config; there is always a PATH."""
    return {"PATH": PATH} | checked(dict(line.partition("=")[::2] for line in lines))


def parse_sockets(label: str) -> dict[str, int]:
    """Read `http=8080,grpc=8081`: the sockets an image can inherit, in the order in which they are handed in."""
    found = {}
    for part in filter(None, label.split(",")):
        name, _, port = part.partition("=")
        if not name or ":" in name or not port.isdecimal() or not 0 < int(port) <= _HIGHEST_PORT:
            raise ConfigError(f"not a socket: {part!r} in the image's label {SOCKETS}", "write it as `http=8080`")
        found[name] = int(port)
    return found


def parse_user(text: str, accounts: Accounts) -> tuple[int, int]:
    """Read `uid`, `uid:gid`, `name` or `name:group`; nothing means root (image-spec, config.md, "User")."""
    name, _, group = (text or "0").partition(":")
    uid, own_gid = _user(name, accounts.passwd)
    return uid, _group(group, accounts.group) if group else own_gid


def parse_signal(text: str) -> str:
    """Read `SIGTERM`, `TERM` or `15` and return the name with SIG."""
    try:
        found = signal.Signals(int(text)) if text.isdecimal() else signal.Signals[f"SIG{text.removeprefix('SIG')}"]
    except (ValueError, KeyError):
        raise ConfigError(f"not a signal: {text!r}", "name it like `SIGTERM`") from None
    return found.name


def _argv(name: str, entrypoint: list[str], cmd: list[str], options: RunOptions) -> tuple[str, ...]:
    """Put a command line together as docker does: own arguments replace Cmd, an own entry point replaces both."""
    if options.entrypoint is not None:
        argv = (*options.entrypoint, *options.args)
    else:
        argv = (*entrypoint, *(options.args or cmd))
    if not argv:
        raise ConfigError(f"{name} does not say which program to run", f"name one: `tiffin run {name} PROGRAM`")
    return argv


def checked(env: dict[str, str]) -> dict[str, str]:
    """Return an environment whose names and values the kernel takes; raises ConfigError for any other."""
    for key, value in env.items():
        if not _VARIABLE.fullmatch(key) or "\0" in value:
            raise ConfigError(f"not an environment variable: {key!r}", "write it as `KEY=value`")
    return env


def absolute(what: str, path: str) -> str:
    """Normalise a path in the container; `..` and /proc (whose links lead out, CVE-2024-21626) are refused."""
    pure = PurePosixPath(path)
    if not path.startswith("/") or ".." in pure.parts or "\0" in path:
        raise ConfigError(f"{what} {path!r} is not an absolute path", "paths in a container start with `/`, without ..")
    if pure.parts[1:2] in {("proc",), ("sys",), ("dev",)}:
        raise ConfigError(f"{what} {path!r} is the kernel's", "choose a folder outside /proc, /sys and /dev")
    return "/" + "/".join(pure.parts[1:])


def _mount(mount: Mount) -> Mount:
    target = absolute("mount target", mount.target)
    if target == "/":
        raise ConfigError("a mount over `/` would hide the image", "choose a folder below it")
    if mount.volume and not _VOLUME.fullmatch(mount.source):
        raise ConfigError(f"not a volume's name: {mount.source!r}", "a name has letters, digits and . _ -, two or more")
    return msgspec.structs.replace(mount, target=target)


def _targets(paths: Iterable[str]) -> list[str]:
    return [absolute("mount target", path) for path in paths]


def _port(port: Port, sockets: dict[str, int]) -> Port:
    """Find the socket that is meant; images without sockets bind their own ports."""
    for name, number in sockets.items():
        if number == port.container_port:
            return msgspec.structs.replace(port, socket=name)
    if sockets:
        known = ", ".join(f"{number} ({name})" for name, number in sockets.items())
        raise UnsupportedError(f"the image does not listen on port {port.container_port}", f"it listens on {known}")
    return port


def _user(name: str, passwd: str) -> tuple[int, int]:
    """Look a user up: number or name to uid and own gid."""
    if not name.isdecimal():
        for fields in _lines(passwd):
            if fields[0] == name:
                return _id(fields[2], name), _id(fields[3], name)
        raise ConfigError(f"the image has no user {name!r}", "give numbers: `--user 1000:1000`")
    uid = _id(name, name)
    gids = [_id(fields[3], name) for fields in _lines(passwd) if fields[2] == name]
    return uid, (gids or [0])[0]


def _group(name: str, group: str) -> int:
    if name.isdecimal():
        return _id(name, name)
    for fields in _lines(group):
        if fields[0] == name:
            return _id(fields[2], name)
    raise ConfigError(f"the image has no group {name!r}", "give numbers: `--user 1000:1000`")


def _lines(text: str) -> list[list[str]]:
    """Split passwd or group into fields, leaving out lines that have too few."""
    fewest = 4
    return [fields for line in text.splitlines() if len(fields := line.split(":")) >= fewest]


def _id(text: str, name: str) -> int:
    if not text.isdecimal() or int(text) > _HIGHEST_ID:
        raise ConfigError(f"user {name!r} has no usable number", "give numbers: `--user 1000:1000`")
    return int(text)
