"""Devices by name, as the Container Device Interface has them (CNCF CDI 1.1, SPEC.md): from specs to edits. Pure.

A spec is a file that somebody else wrote, `nvidia-ctk` mostly. What it asks for is either done or refused: unknown keys
are mistakes, since a device that gets half of its edits fails late and strangely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from tiffin.config.plain_yaml import Value
from tiffin.errors import ConfigError, NotFoundError

GENERATE = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
"""What writes the spec of NVIDIA's devices, and writes it anew after the driver changed."""
_NEWEST = (1, 1)
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_.-]*")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_BINDS = {"", "bind", "none"}


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A table of a spec."""


class DeviceNode(Table, frozen=True, kw_only=True):
    """A device file that the container sees at `path`; it lies at `host_path`, or at the same path, on the host."""

    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None

    @property
    def source(self) -> str:
        """Where it lies on the host."""
        return self.host_path or self.path


class BindMount(Table, frozen=True, kw_only=True):
    """A file or folder of the host that the container sees."""

    host_path: str
    container_path: str
    options: tuple[str, ...] = ()
    type: str = ""

    @property
    def read_only(self) -> bool:
        """Whether the container may not write to it."""
        return "ro" in self.options


class Hook(Table, frozen=True, kw_only=True):
    """A program that an OCI runtime would run on the host while it makes the container."""

    hook_name: str
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None


class Edits(Table, frozen=True, kw_only=True):
    """What a container gets with a device."""

    env: tuple[str, ...] = ()
    device_nodes: tuple[DeviceNode, ...] = ()
    mounts: tuple[BindMount, ...] = ()
    hooks: tuple[Hook, ...] = ()
    additional_gids: tuple[int, ...] = msgspec.field(default=(), name="additionalGids")

    def plus(self, other: Edits) -> Edits:
        """Both, in this order; what is in both is there once."""
        return Edits(
            env=_distinct(self.env, other.env),
            device_nodes=_distinct(self.device_nodes, other.device_nodes),
            mounts=_distinct(self.mounts, other.mounts),
            hooks=_distinct(self.hooks, other.hooks),
            additional_gids=_distinct(self.additional_gids, other.additional_gids),
        )


class Device(Table, frozen=True, kw_only=True):
    """One device of a kind, by its name."""

    name: str
    container_edits: Edits = Edits()
    annotations: dict[str, str] = {}


class Spec(Table, frozen=True, kw_only=True):
    """One file: devices of a kind, `vendor.com/class`, and the edits that come with whichever of them."""

    cdi_version: str
    kind: str
    devices: tuple[Device, ...] = ()
    container_edits: Edits = Edits()
    annotations: dict[str, str] = {}


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A spec, the file it was read from, and how much its folder counts: the higher wins."""

    file: str
    priority: int
    spec: Spec


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Every spec that was found: those that can be read, why the others cannot, and the folders that were searched."""

    sources: tuple[Source, ...] = ()
    broken: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def names(self, kind: str) -> list[str]:
        """The names of a kind's devices, in the order of their specs."""
        found = [device.name for source in self._of(kind) for device in source.spec.devices]
        return list(dict.fromkeys(found))

    def kinds(self) -> list[str]:
        """Every kind of which there is a device."""
        return list(dict.fromkeys(source.spec.kind for source in self.sources if source.spec.devices))

    def find(self, name: str) -> tuple[Source, Device]:
        """Find the device with a whole name, `vendor.com/class=name`.

        Raises NotFoundError for one that there is not, ConfigError for one that two files of the same folder claim.
        """
        kind, device = parse_name(name)
        found = [(source, one) for source in self._of(kind) for one in source.spec.devices if one.name == device]
        highest = max((source.priority for source, _ in found), default=0)
        claims = [(source, one) for source, one in found if source.priority == highest]
        if not claims:
            raise self.unknown(name)
        if len(claims) > 1:
            files = " and ".join(source.file for source, _ in claims)
            raise ConfigError(f"the device {name} is in {files}", "remove one of the two files")
        return claims[0]

    def _of(self, kind: str) -> list[Source]:
        return [source for source in self.sources if source.spec.kind == kind]

    def unknown(self, name: str) -> NotFoundError:
        """Make the error of whoever misses this device."""
        kind = name.partition("=")[0]
        names = self.names(kind)
        why = [f"no CDI spec in {' or '.join(self.folders)} has the device {name}", *self.broken]
        if names:
            hint = f"devices of {kind}: {', '.join(names)}"
        elif kind.startswith("nvidia.com/"):
            hint = f"write its spec: `{GENERATE}`"
        else:
            hint = f"kinds there are: {', '.join(self.kinds()) or 'none'}; their vendor's tools write specs"
        return NotFoundError("; ".join(why), hint)


def parse_name(name: str) -> tuple[str, str]:
    """Read `vendor.com/class=name`; raises ConfigError."""
    kind, _, device = name.partition("=")
    if not _KIND.fullmatch(kind) or not _DEVICE.fullmatch(device):
        raise ConfigError(f"not a device: {name!r}", "write it as `vendor.com/class=name`, such as nvidia.com/gpu=0")
    return kind, device


def parse_spec(value: Value | Any, file: str) -> Spec:
    """Read a spec out of parsed JSON or YAML (whose numbers may be texts); raises ConfigError with file and place."""
    try:
        spec = msgspec.convert(value, Spec, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {error}", "whatever wrote it writes it anew; see the CDI specification") from error
    for mistake in _mistakes(spec):
        raise ConfigError(f"{file}: {mistake}", "whatever wrote it writes it anew; see the CDI specification")
    return spec


def resolve(names: Iterable[str], known: Known) -> Edits:
    """Find the devices and add up what comes with them: a spec's own edits once, before those of its devices."""
    edits, used = Edits(), set()
    for name in dict.fromkeys(names):
        source, device = known.find(name)
        if source.file not in used:
            used.add(source.file)
            edits = edits.plus(source.spec.container_edits)
        edits = edits.plus(device.container_edits)
    return edits


def variables(edits: Edits) -> dict[str, str]:
    """The environment that comes with the edits; it replaces what the container has."""
    return dict(line.partition("=")[::2] for line in edits.env)


def _mistakes(spec: Spec) -> Iterator[str]:
    """What the types cannot say."""
    version = _VERSION.fullmatch(spec.cdi_version)
    if not version:
        yield f"`cdiVersion` is like 0.5.0, not {spec.cdi_version!r} - at `$.cdiVersion`"
    elif (int(version[1]), int(version[2])) > _NEWEST:
        yield f"version {spec.cdi_version} is newer than this tiffin knows - at `$.cdiVersion`"
    if not _KIND.fullmatch(spec.kind):
        yield f"`kind` is like vendor.com/class, not {spec.kind!r} - at `$.kind`"
    names = [device.name for device in spec.devices]
    for number, device in enumerate(spec.devices):
        if not _DEVICE.fullmatch(device.name):
            yield f"a name has letters, digits and _ . : -, not {device.name!r} - at `$.devices[{number}].name`"
        if device.name in names[:number]:
            yield f"the device {device.name} is there twice - at `$.devices[{number}].name`"
        yield from _mistakes_of(device.container_edits, f"$.devices[{number}].containerEdits")
    yield from _mistakes_of(spec.container_edits, "$.containerEdits")


def _mistakes_of(edits: Edits, place: str) -> Iterator[str]:
    for number, line in enumerate(edits.env):
        if not line.partition("=")[1] or line.startswith("="):
            yield f"`env` has lines NAME=value, not {line!r} - at `{place}.env[{number}]`"
    for number, node in enumerate(edits.device_nodes):
        if not (_is_plain(node.path) and node.path.startswith("/dev/") and _is_plain(node.source)):
            yield f"a device lies below /dev, not at {node.path!r} - at `{place}.deviceNodes[{number}]`"
    for number, mount in enumerate(edits.mounts):
        if not (_is_plain(mount.host_path) and _is_plain(mount.container_path)):
            yield f"paths are absolute and without .. - at `{place}.mounts[{number}]`"
        if mount.type not in _BINDS:
            yield f"only bind mounts can be made, not {mount.type} - at `{place}.mounts[{number}].type`"


def _is_plain(path: str) -> bool:
    return path.startswith("/") and path != "/" and ".." not in PurePosixPath(path).parts and "\0" not in path


def _distinct(first: Sequence[Any], second: Sequence[Any]) -> tuple[Any, ...]:
    return (*first, *(one for one in second if one not in first))
