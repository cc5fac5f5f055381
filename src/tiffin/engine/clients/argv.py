"""From a ContainerSpec to the argument lists of docker and podman: pure, and so easily looked at."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence

from tiffin.engine.clients.dialect import Dialect
from tiffin.engine.plan import CAPABILITIES, hostname
from tiffin.engine.spec import ContainerSpec, Mount, Network, Port
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode

LABEL = "dev.tiffin.container"
"""The label by which tiffin knows its containers again; its value is the spec."""
REPOSITORY = "localhost/tiffin"
"""What images that tiffin loads are called there, with the start of their digest as tag."""
_SHOWN = 12


def image_name(digest: Digest) -> str:
    """What an image is called in the engine; nobody else's names are touched."""
    return f"{REPOSITORY}:{digest.hex[:_SHOWN]}"


def create(dialect: Dialect, spec: ContainerSpec) -> list[str]:
    """Make a container and print its ID."""
    return [
        *("create", "--pull", "never", "--name", spec.name),
        *_isolation(dialect, spec),
        *_network(spec),
        *_flat(("--mount", mount_text(mount)) for mount in spec.mounts),
        *_flat(("--env", f"{name}={value}") for name, value in environment(spec).items()),
        *("--workdir", spec.cwd),
        *("--stop-signal", spec.stop_signal, "--stop-timeout", str(whole(spec.stop_seconds))),
        *_flat(("--label", f"{name}={value}") for name, value in spec.labels.items()),
        *("--label", f"{LABEL}={encode(spec).decode()}"),
        *("--entrypoint", spec.argv[0], image_name(spec.digest), *spec.argv[1:]),
    ]


def environment(spec: ContainerSpec) -> dict[str, str]:
    """What the image and the user say, and which image it is."""
    return {"HOME": "/"} | spec.env | {"TIFFIN_IMAGE": str(spec.digest)}


def mount_text(mount: Mount) -> str:
    """A mount as `--mount` reads it: a line of CSV, so that any path can be said."""
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*fields, *(["readonly"] if mount.read_only else [])])
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


def start(identity: str) -> list[str]:
    """Start a container."""
    return ["start", identity]


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


def watch(stop_command: Sequence[str]) -> list[str]:
    """Leave a process that runs a command when its standard input ends without a line: whoever held it has died."""
    return ["/bin/sh", "-c", 'exec 3<&0; { read -r said || exec "$@"; } <&3 3<&- &', "tiffin-watch", *stop_command]


def _flat(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [text for pair in pairs for text in pair]
