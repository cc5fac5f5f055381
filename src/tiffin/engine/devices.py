"""What a container gets with its devices on this machine: a value, the same for every engine.

The request, `ContainerSpec.devices`, is kept; this is made of it anew at every start, since a driver may have changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tiffin.engine.spec import ContainerSpec, Mount


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A device file of this machine, where the container sees it, and what it may do: r, w and m (make it)."""

    source: str
    path: str
    permissions: str = "rwm"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A symbolic link to be made in the container: its path, and the text that it holds."""

    path: str
    target: str


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """A library that the dynamic linker shall find by this name at this path of the container, made for a machine."""

    name: str
    path: str
    machine: int


class Devices(msgspec.Struct, frozen=True, kw_only=True):
    """What comes with devices: device nodes, mounts, variables, groups, links, and libraries in some folders."""

    nodes: tuple[Node, ...] = ()
    mounts: tuple[Mount, ...] = ()
    env: dict[str, str] = {}
    groups: tuple[int, ...] = ()
    needed_groups: tuple[int, ...] = ()
    """Those of the groups that the devices' makers ask for."""
    links: tuple[Link, ...] = ()
    libraries: tuple[Library, ...] = ()
    folders: tuple[str, ...] = ()


def find_devices(names: Sequence[str]) -> Devices:
    """Find devices by their whole names on this machine; raises ConfigError, NotFoundError, UnsupportedError."""
    if not names:
        return Devices()
    from tiffin.engine.cdi_devices import look_up  # noqa: PLC0415 - few containers have devices, and all start fast

    return look_up(names)


def with_devices(spec: ContainerSpec, devices: Devices) -> ContainerSpec:
    """Add the mounts and variables that come with devices; they replace what the container has by the same name."""
    return msgspec.structs.replace(spec, mounts=(*spec.mounts, *devices.mounts), env=spec.env | devices.env)
