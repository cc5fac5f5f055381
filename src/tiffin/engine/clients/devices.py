"""Devices for docker and podman: by their CDI names where the program knows them, else by what comes with them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from tiffin.engine.cdi_files import FOLDERS
from tiffin.engine.cdi_hooks import follow
from tiffin.engine.clients.program import Program
from tiffin.engine.devices import Devices, with_devices
from tiffin.engine.spec import ContainerSpec, Mount

_PODMAN = (4, 1)
"""The podman that knows CDI first."""
_SEARCHED = "LD_LIBRARY_PATH"


def knows_cdi(program: Program, folders: Sequence[str]) -> bool:
    """Ask the program whether it finds CDI's devices itself, in the folders that are meant.

    docker says in which it looks, and in none before 25 or where its `features.cdi` is off; podman looks in CDI's own.
    """
    if program.dialect.name == "docker":
        done = program.attempt(["info", "--format", "{{json .}}"])
        return not done.status and set(folders) <= set(docker_folders(done.out))
    done = program.attempt(["version", "--format", "{{.Client.Version}}"])
    return not done.status and set(folders) <= set(FOLDERS) and podman_knows(done.out.decode(errors="replace"))


def docker_folders(info: bytes) -> list[str]:
    """The folders in which a docker daemon looks for specs, out of what `info` says."""
    try:
        found = msgspec.json.decode(info)["CDISpecDirs"]
    except (msgspec.MsgspecError, KeyError, TypeError):
        return []
    return [folder for folder in found or [] if isinstance(folder, str)]


def podman_knows(version: str) -> bool:
    """Whether a podman of this version knows CDI."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    return numbers >= _PODMAN


def by_name(names: Sequence[str]) -> list[str]:
    """The options of a program that knows CDI."""
    return [text for name in names for text in ("--device", name)]


def one_by_one(devices: Devices) -> list[str]:
    """The options of a program that does not: each node, and the groups that may open it."""
    nodes = [f"{node.source}:{node.path}:{node.permissions}" for node in devices.nodes]
    return [
        *(text for node in nodes for text in ("--device", node)),
        *(text for group in devices.groups for text in ("--group-add", str(group))),
    ]


def spread(spec: ContainerSpec, devices: Devices) -> ContainerSpec:
    """The spec with the mounts and variables that its devices bring.

    Nobody can make links or a linker's cache in the image: a link to a mounted file becomes a further mount of it, and
    the folders of libraries are named in LD_LIBRARY_PATH, before what the image has there.
    """
    full = with_devices(spec, devices)
    hosts = {mount.target: mount for mount in devices.mounts}
    ends = {link.path: hosts.get(follow(link, devices.links)) for link in devices.links}
    further = (
        Mount(source=end.source, target=path, read_only=end.read_only)
        for path, end in ends.items()
        if end and path not in hosts
    )
    env = full.env
    if devices.folders:
        env = env | {_SEARCHED: ":".join([*devices.folders, *filter(None, [env.get(_SEARCHED, "")])])}
    return msgspec.structs.replace(full, mounts=(*full.mounts, *further), env=env)
