"""From a ContainerSpec to the argument lists of docker and podman: pure, and so easily looked at."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence

from tiffin.engine.clients.dialect import Dialect
from tiffin.engine.naming import hostname
from tiffin.engine.plan import CAPABILITIES
from tiffin.engine.spec import Command, ContainerSpec, Limits, Mount, Network, Port, Restart, RestartPolicy
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode

LABEL = "dev.tiffin.container"
"""The label by which tiffin knows its containers again; its value is the spec."""
SECRETS = "dev.tiffin.secrets"
"""The label that says where copies of its secrets lie."""
REPOSITORY = "localhost/tiffin"
"""What images that tiffin loads are called there, with the start of their digest as tag."""
_SHOWN, _LONGEST = 12, 15_000
"""Digits of a digest in a name; characters of a line, which these programs read up to 64 KiB."""


def image_name(digest: Digest) -> str:
    """What an image is called in the engine; nobody else's names are touched."""
    return f"{REPOSITORY}:{digest.hex[:_SHOWN]}"


def create(
    dialect: Dialect,
    spec: ContainerSpec,
    hidden: Sequence[str] = (),
    secrets: Sequence[str] = (),
    devices: Sequence[str] = (),
) -> list[str]:
    """Make a container and print its ID.

    `hidden` are the options that say its environment and what it was made of; `secrets` and `devices` are those that
    hand them in.
    """
    return [
        *("create", "--pull", "never", "--name", spec.name),
        *(["--rm"] if spec.remove else []),
        *_limits(spec.limits),
        *_restart(spec.restart),
        *(["--interactive"] if spec.stdin else []),
        *(["--tty"] if spec.tty else []),
        *_isolation(dialect, spec),
        *devices,
        *_network(spec),
        *mounts(spec.mounts),
        *secrets,
        *hidden,
        *("--workdir", spec.cwd),
        *("--stop-signal", spec.stop_signal, "--stop-timeout", str(whole(spec.stop_seconds))),
        *_flat(("--label", f"{name}={value}") for name, value in spec.labels.items()),
        *("--entrypoint", spec.argv[0], image_name(spec.digest), *spec.argv[1:]),
    ]


def label_lines(spec: ContainerSpec) -> list[str]:
    """What a container is known again by: JSON, in as many labels as it takes lines (see `seen`)."""
    text = encode(spec).decode()
    parts = [text[at : at + _LONGEST] for at in range(0, len(text), _LONGEST)]
    return [f"{LABEL}{f'.{number}' if number else ''}={part}" for number, part in enumerate(parts)]


def mounts(wanted: Iterable[Mount]) -> list[str]:
    """Mount files and folders of the host."""
    return _flat(("--mount", mount_text(mount)) for mount in wanted)


def environment(spec: ContainerSpec) -> dict[str, str]:
    """What the image and the user say, and which image it is."""
    return {"HOME": "/"} | spec.env | {"TIFFIN_IMAGE": str(spec.digest)}


def mount_text(mount: Mount) -> str:
    """A mount as `--mount` reads it: a line of CSV, so that any path can be said."""
    kind = "volume" if mount.volume else "bind"
    fields = [f"type={kind}", f"source={mount.source}", f"target={mount.target}"]
    read_only = "ro" if mount.volume else "readonly"  # podman knows only the one for volumes
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*fields, *([read_only] if mount.read_only else [])])
    return line.getvalue()


def publish_text(port: Port) -> str:
    """A port as `--publish` reads it; an empty host port lets the engine choose."""
    host = f"[{port.host}]" if ":" in port.host else port.host
    return f"{host}:{port.host_port or ''}:{port.container_port}/tcp"


def whole(seconds: float) -> int:
    """Seconds as these programs count them: whole ones, rounded up."""
    return math.ceil(seconds)


def _isolation(dialect: Dialect, spec: ContainerSpec) -> Iterator[str]:
    """What every container lacks: capabilities, ways to get more, a root to write to; others' images have a few."""
    yield from ("--user", f"{spec.user[0]}:{spec.user[1]}")
    yield from ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    if spec.several_ids and spec.user[0] == 0:  # podman would give them to any user
        yield from _flat(("--cap-add", name.removeprefix("CAP_")) for name in CAPABILITIES)
    yield from dialect.create
    if spec.read_only:
        yield "--read-only"
    for place in ("/tmp", "/dev/shm", *spec.tmpfs):  # noqa: S108 - the container's own
        yield from ("--tmpfs", f"{place}:{dialect.tmpfs}")


def _network(spec: ContainerSpec) -> Iterator[str]:
    """No network unless it is asked for; published ports need the engine's own, since no socket is handed in."""
    if spec.network is Network.HOST:
        yield from ("--network", "host")
        return
    yield from ("--hostname", hostname(spec.name))
    if not spec.ports and spec.network is not Network.USER:
        yield from ("--network", "none", "--add-host", f"{hostname(spec.name)}:127.0.0.1")
    for port in spec.ports:
        yield from ("--publish", publish_text(port))


def _limits(limits: Limits) -> Iterator[str]:
    """The most it may use; swap counts as memory."""
    if limits.memory:
        yield from ("--memory", str(limits.memory), "--memory-swap", str(limits.memory))
    if limits.cpus:
        yield from ("--cpus", f"{limits.cpus:g}")
    if limits.processes:
        yield from ("--pids-limit", str(limits.processes))


def _restart(restart: Restart) -> list[str]:
    if restart.policy is RestartPolicy.NO:
        return []
    tries = f":{restart.tries}" if restart.tries else ""
    return ["--restart", f"{restart.policy.value}{tries}"]


def start(identity: str) -> list[str]:
    """Start a container."""
    return ["start", identity]


def run(spec: ContainerSpec, identity: str, keys: str) -> list[str]:
    """Start a container with this process's streams."""
    stdin = ["--interactive"] if spec.stdin else []
    return ["start", "--attach", *stdin, "--detach-keys", keys, identity]


def attach(spec: ContainerSpec, identity: str, keys: str) -> list[str]:
    """Attach to a container that runs."""
    stdin = [] if spec.stdin else ["--no-stdin"]
    return ["attach", "--sig-proxy=false", *stdin, "--detach-keys", keys, identity]


def execute(identity: str, command: Command, variables: Iterable[str], *, stdin: bool, detach: bool) -> list[str]:
    """Run a further program; `variables` are options that say them."""
    flags = {"--interactive": stdin, "--tty": command.tty, "--detach": detach}
    return [
        *("exec", *(flag for flag, is_wanted in flags.items() if is_wanted), *variables),
        *(("--workdir", command.cwd) if command.cwd else ()),
        *(("--user", command.user) if command.user else ()),
        *(identity, *command.argv),
    ]


def copy(paths: Sequence[str]) -> list[str]:
    """Copy from the first of two paths to the second; one is in a container, `ID:PATH`."""
    return ["cp", *paths]


def stop(identity: str, seconds: float) -> list[str]:
    """Send the stop signal and, this many seconds later, SIGKILL."""
    return ["stop", "--time", str(whole(seconds)), identity]


def kill(identity: str, signal: str) -> list[str]:
    """Send a signal."""
    return ["kill", "--signal", signal, identity]


def wait(identity: str) -> list[str]:
    """Wait for the end and print the exit code."""
    return ["wait", identity]


def logs(identity: str, *, follow: bool) -> list[str]:
    """Print what it wrote, each line with its time."""
    return ["logs", "--timestamps", *(["--follow"] if follow else []), identity]


def remove(identity: str) -> list[str]:
    """Forget a container and the volumes that only it had."""
    return ["rm", "--volumes", identity]


def listing() -> list[str]:
    """Print the IDs of tiffin's containers."""
    return ["ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}"]


def inspect(names: Sequence[str]) -> list[str]:
    """Print all that is known of containers as JSON."""
    return ["container", "inspect", *names]


def inspect_image(name: str) -> list[str]:
    """Print the diff IDs of an image as JSON."""
    return ["image", "inspect", "--format", "{{json .RootFS.Layers}}", name]


def tag(identity: str, name: str) -> list[str]:
    """Give an image a further name."""
    return ["tag", identity, name]


def load() -> list[str]:
    """Take in an archive from standard input."""
    return ["load"]


def secrets_label(where: str) -> list[str]:
    """Say which copies of secrets a container has."""
    return ["--label", f"{SECRETS}={where}"]


def copied_secrets() -> list[str]:
    """Print the labels of the containers that have copies of secrets."""
    return ["ps", "--all", "--filter", f"label={SECRETS}", "--format", "{{.Labels}}"]


def identity(dialect: Dialect) -> list[str]:
    """Print what tells this daemon, or this place with containers, from all others."""
    return ["info", "--format", dialect.identity]


def watch(stop_command: Sequence[str]) -> list[str]:
    """Leave a process that runs a command when its standard input ends without a line: whoever held it has died."""
    return ["/bin/sh", "-c", 'exec 3<&0; { read -r said || exec "$@"; } <&3 3<&- &', "tiffin-watch", *stop_command]


def _flat(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [text for pair in pairs for text in pair]
