"""Why docker or podman would not make or start a container, in the words that every engine uses."""

from __future__ import annotations

import errno
import re

import msgspec

from tiffin.engine.cdi_files import cdi_folders, read_specs
from tiffin.engine.refused import refused_mount, refused_name, refused_port, refused_program
from tiffin.engine.spec import ContainerSpec, Limits, Mount, Port
from tiffin.errors import ConfigError, DeniedError, NotFoundError, TiffinError, UnsupportedError

_NAME = re.compile(r"name \S+ is already in use|name is already in use")
_MOUNT = re.compile(
    r"(?:bind source path does not exist: |statfs )(\S.*?)(?:: no such file or directory|$)", re.MULTILINE
)
_DEVICE = re.compile(r"unresolvable CDI devices? ([^\s,]+)")
_PROGRAM = re.compile(
    r'exec: "[^\n]*(?:no such file or directory|executable file not found|permission denied)|'
    r"executable file `[^\n]*not found"
)
_PORT = re.compile(r"(?:Bind for|listen tcp[46]?) (\S+):(\d+)(?: failed)?: (?:bind: )?([^\n]+)")
_DISCARDED = re.compile(r"[^\n]*(?:discarded|limits are not supported)[^\n]*", re.IGNORECASE)
_NUMBERS = {
    "port is already allocated": errno.EADDRINUSE,
    "address already in use": errno.EADDRINUSE,
    "permission denied": errno.EACCES,
}


def made(spec: ContainerSpec, said: str) -> TiffinError | None:
    """Why it was not made, where that is the spec's fault."""
    if _NAME.search(said):
        return refused_name(spec.name)
    if "Invalid container name" in said:
        return ConfigError(f"docker takes no container called {spec.name!r}", "give it two letters or more: `--name`")
    if found := _MOUNT.search(said):
        target = next((mount.target for mount in spec.mounts if mount.source == found[1]), "")
        return refused_mount(Mount(source=found[1], target=target), found[1])
    if found := _DEVICE.search(said):
        return read_specs(cdi_folders()).unknown(found[1])
    return None


def started(spec: ContainerSpec, said: str) -> TiffinError | None:
    """Why it was not started, where that is the spec's fault."""
    if found := _PORT.search(said):
        number = next((number for words, number in _NUMBERS.items() if found[3].startswith(words)), 0)
        return refused_port(_port(spec, int(found[2]), found[1]), spec.name, OSError(number, found[3]))
    if re.search(r'workdir "[^"]*" does not exist', said):
        return ConfigError(f"{spec.image} has no working directory {spec.cwd!r}", "make it in the image, or mount one")
    if _PROGRAM.search(said):
        return refused_program(spec)
    return made(spec, said)


def discarded(spec: ContainerSpec, engine: str, said: str) -> TiffinError | None:
    """Why it would run without a limit: these programs warn of one that their machine cannot hold, and leave it out."""
    if spec.limits != Limits() and (found := _DISCARDED.search(said)):
        return UnsupportedError(f"{engine} cannot hold a limit here: {found[0].strip()}", "leave it out")
    return None


def copied(spec: ContainerSpec, said: str) -> TiffinError | None:
    """Why files were not copied, where that is the path's fault."""
    if found := re.search(r'No such container:path: [0-9a-f]+:(\S+)|"(\S+)" could not be found on container', said):
        path = found[1] or found[2]
        return NotFoundError(f"{spec.name}:{path}: No such file or directory", "name something that exists")
    if re.search("marked read-only|Read-only file system", said, re.IGNORECASE):
        hint = "the image is read-only: mount a folder: `-v ./data:/data:rw`"
        return DeniedError(f"{spec.name}: Read-only file system", hint)
    return None


def _port(spec: ContainerSpec, number: int, host: str) -> Port:
    """The port of the spec that was meant; one that the engine chose is told apart by its host."""
    for port in spec.ports:
        if port.host_port == number:
            return port
    meant = next((port for port in spec.ports if port.host == host.strip("[]")), spec.ports[0])
    return msgspec.structs.replace(meant, host_port=number)
