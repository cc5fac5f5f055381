"""From a ContainerSpec and a machine to what the stage builds and runs: decided here, done there."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tiffin.engine.devices import Devices, with_devices
from tiffin.engine.embedded import stage
from tiffin.engine.embedded.argv import ALONE, ROOT, bubblewrap_arguments, kernel, mount_name, root
from tiffin.engine.embedded.devices import cache_in, links_in, node_checks, node_name, node_options
from tiffin.engine.embedded.ids import Identity, Ids, identity, one_user
from tiffin.engine.embedded.machine import CONTAINER_USER, Bubblewrap, Machine
from tiffin.engine.embedded.made import UPPER
from tiffin.engine.embedded.outside import outside, resolv_conf
from tiffin.engine.embedded.rootfs import Layers, Top, inside, top, unwritten
from tiffin.engine.embedded.seccomp import program
from tiffin.engine.embedded.secrets import FOLDER
from tiffin.engine.embedded.stage import STAGE
from tiffin.engine.naming import hostname
from tiffin.engine.refused import refused_mount, refused_program
from tiffin.engine.spec import ContainerSpec, Mount, Network
from tiffin.errors import UnsupportedError

_LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
_ANYBODY = ("--uid", str(CONTAINER_USER), "--gid", str(CONTAINER_USER), "--hostname", "container")
"""Who a tool is, whoever runs it and wherever: what it makes may depend on it."""
_FOLDERS = ("/proc", "/dev", "/sys", "/tmp", "/etc")  # noqa: S108 - the container's own
_NO_DEVICES = Devices()


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """What a container's root is stacked of: `trees`, bottom first, and `root`, where it keeps what it writes.

    `folders` are the same layers as `trees`, without owners: they can be looked at.
    """

    folders: list[Path]
    trees: list[Path]
    root: Path | None = None


def launch(spec: ContainerSpec, stack: Stack, machine: Machine, devices: Devices = _NO_DEVICES) -> stage.Launch:
    """Decide how a container of these unpacked layers is built; raises ConfigError, NotFoundError, UnsupportedError."""
    refuse_what_cannot_be(spec)
    upper = stack.root / UPPER if stack.root and not spec.read_only else None
    layers = Layers(stack.folders, upper) if upper else unwritten(tuple(stack.folders))
    resolved = _resolved(with_devices(spec, devices), layers)
    # A program may also come from a mount; then only running it can tell.
    if not spec.mounts and not layers.program(spec.argv[0], spec.env.get("PATH", ""), resolved.cwd):
        raise refused_program(spec)
    etc = layers.resolve("/etc")
    mounted = {mount.target: mount.volume or Path(mount.source).is_dir() for mount in resolved.mounts}
    files = _names(spec, machine, etc) | {target: "" for target, folder in mounted.items() if not folder}
    files |= cache_in(devices, layers)
    links = links_in(devices, layers, [*files, *mounted])
    secrets = inside(layers, "the folder of secrets", FOLDER) if spec.secrets else ""
    places = [
        *_FOLDERS,
        *([secrets] if secrets else []),
        *([resolved.cwd] if layers.sees(resolved.cwd) else []),
        *resolved.tmpfs,
        *(target for target, folder in mounted.items() if folder),
        *(str(Path(link).parent) for link in links),
    ]
    above = top(layers, places, files)
    who = identity(spec, machine.become, machine.ids)
    return {
        **_stacked(stack.trees, machine, who),
        "relays": [0 if port.socket else port.container_port for port in spec.ports],
        "outside": outside(spec, machine.outside),
        "binds": [
            *_binds(stack.trees, machine.bubblewrap),
            *([(str(stack.root), ROOT)] if stack.root and not spec.read_only else []),
            *((mount.source, mount_name(number)) for number, mount in enumerate(resolved.mounts)),
            *((node.source, node_name(number)) for number, node in enumerate(devices.nodes)),
        ],
        "mounts": [
            *(
                (mount_name(number), mount.source, not mount.read_only)
                for number, mount in enumerate(
                    resolved.mounts[: len(spec.mounts)]
                )  # what devices bring is not the user's
            ),
            *node_checks(devices),
        ],
        "folders": list(above.folders),
        "files": above.files,
        "links": links,
        "groups": list(devices.groups),
        "owners": _owners(above, layers, machine.ids) if who.maps and machine.ids else [],
        "arguments": bubblewrap_arguments(
            resolved, machine.masked, secrets, node_options(devices), mapped=who.maps is not None
        ),
        "argv": list(spec.argv),
        "secrets": secrets,
    }


def tool(folders: list[Path], argv: list[str], env: dict[str, str], machine: Machine) -> stage.Launch:
    """Decide how one program of an image is run for its output: no network, no mounts, nothing written but /tmp."""
    above = top(Layers(folders), _FOLDERS, {})
    settings = [text for key, value in env.items() for text in ("--setenv", key, value)]
    return {
        **_stacked(folders, machine, one_user(machine.become)),
        "folders": list(above.folders),
        "arguments": [
            *(*ALONE, "--unshare-net", *_ANYBODY, *root(len(folders)), *kernel(machine.masked)),
            *("--perms", "1777", "--tmpfs", "/tmp", "--chdir", "/", "--clearenv", *settings),  # noqa: S108 - its own
        ],
        "argv": argv,
    }


def _stacked(folders: list[Path], machine: Machine, who: Identity) -> stage.Launch:
    """What every launch has: the layers, the user, the filter."""
    host = who.host or (None, None)
    return {
        "become": host[0],
        "group": host[1],
        "user": list(who.inside) if who.inside and who.host is None else None,
        "maps": who.maps,
        "relays": [],
        "outside": [],
        "binds": _binds(folders, machine.bubblewrap),
        "mounts": [],
        "folders": [],
        "files": {},
        "links": {},
        "groups": [],
        "owners": [],
        "program": f"{STAGE}/b/{machine.bubblewrap.path}",
        "arguments": [],
        "argv": [],
        "seccomp": program(machine.architecture).hex(),
        "secrets": "",
    }


def _binds(folders: list[Path], bubblewrap: Bubblewrap) -> list[tuple[str, str]]:
    return [(bubblewrap.folder, "b"), *((str(folder), str(number)) for number, folder in enumerate(folders))]


def _owners(above: Top, layers: Layers, ids: Ids) -> list[tuple[str, int, int, int]]:
    """Give what lies in the top layer the owners that the image gives it there."""
    folders = [(path, layers.owner(path)) for path in ("", *(path for path, _ in above.folders))]
    files = [(path, (0, 0, 0o644)) for path in above.files]
    return [(path, *ids.seen(uid, gid), mode) for path, (uid, gid, mode) in [*folders, *files]]


def refuse_what_cannot_be(spec: ContainerSpec) -> None:
    """Refuse what no container of the embedded engine can have."""
    unnamed = [port for port in spec.ports if not port.socket]
    if unnamed and spec.network is Network.HOST:
        raise UnsupportedError(
            f"port {unnamed[0].container_port} is the host's own with `--network host`", "leave `-p` out"
        )


def _resolved(spec: ContainerSpec, layers: Layers) -> ContainerSpec:
    """Follow the image's links in every path, so that nothing is mounted through one."""
    return msgspec.structs.replace(
        spec,
        cwd=inside(layers, "the working directory", spec.cwd) if layers.sees(spec.cwd) else spec.cwd,
        tmpfs=tuple(inside(layers, "tmpfs", path) for path in spec.tmpfs),
        mounts=tuple(_mount(mount, layers) for mount in spec.mounts),
    )


def _mount(mount: Mount, layers: Layers) -> Mount:
    source = Path(mount.source).absolute()
    if not source.exists() and not mount.volume:  # a volume is made with the container
        raise refused_mount(mount, str(source))
    target = inside(layers, "mount target", mount.target)
    return msgspec.structs.replace(mount, source=str(source), target=target)


def _names(spec: ContainerSpec, machine: Machine, etc: str) -> dict[str, str]:
    """The three files that say who is who on the network."""
    shared = spec.network is Network.HOST
    own = hostname(spec.name)
    names = {
        Network.HOST: machine.resolv_conf,
        Network.USER: resolv_conf(machine.resolv_conf),
        Network.NONE: "# this container has no network\n",
    }
    return {
        f"{etc}/hostname": f"{own}\n",
        f"{etc}/hosts": machine.hosts if shared else f"{_LOCALHOST}127.0.0.1 {own}\n",
        f"{etc}/resolv.conf": names[spec.network],
    }
