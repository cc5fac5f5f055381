"""Devices looked up by CDI on this machine now: specs read, hooks understood, libraries looked at."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from tiffin.engine.cdi import GENERATE, BindMount, DeviceNode, Edits, resolve, variables
from tiffin.engine.cdi_files import cdi_folders, read_specs
from tiffin.engine.cdi_hooks import follow, read_hooks
from tiffin.engine.devices import Devices, Library, Link, Node
from tiffin.engine.spec import Mount
from tiffin.errors import IntegrityError, NotFoundError
from tiffin.layers.elf import Elf, read_elf

_READ_WRITE = 0o6


def look_up(names: Sequence[str]) -> Devices:
    """Find devices by their whole names; raises ConfigError, NotFoundError, UnsupportedError."""
    edits = resolve(names, read_specs(cdi_folders()))
    asked = read_hooks(edits)
    _refuse_stale(names, edits)
    found = [*_libraries(edits.mounts, asked.folders)]
    by_name = [Link(path=one.path, target=PurePosixPath(file).name) for file, one in found if one.path != file]
    links = {link.path: link for link in (*by_name, *asked.links)}
    further = (_linked(link, links.values(), found) for link in asked.links)
    return Devices(
        nodes=tuple(
            Node(source=node.source, path=node.path, permissions=node.permissions or "rwm")
            for node in edits.device_nodes
        ),
        mounts=tuple(
            Mount(source=mount.host_path, target=mount.container_path, read_only=mount.read_only)
            for mount in edits.mounts
        ),
        env=variables(edits),
        groups=tuple(dict.fromkeys((*edits.additional_gids, *_groups(edits.device_nodes)))),
        needed_groups=edits.additional_gids,
        links=tuple(links.values()),
        libraries=(*(one for _, one in found), *filter(None, further)),
        folders=asked.folders,
    )


def _refuse_stale(names: Sequence[str], edits: Edits) -> None:
    """Refuse a spec that speaks of files which are gone: the driver was upgraded after it was written."""
    paths = [*(node.source for node in edits.device_nodes), *(mount.host_path for mount in edits.mounts)]
    absent = [path for path in paths if not os.path.lexists(path)]
    if absent:
        raise NotFoundError(
            f"the CDI spec of {', '.join(names)} names {absent[0]}, which is not on this machine",
            f"write it anew: `{GENERATE}`"
            if any(name.startswith("nvidia.com/") for name in names)
            else "have its vendor's tool write it anew",
        )


def _libraries(mounts: Iterable[BindMount], folders: Sequence[str]) -> Iterator[tuple[str, Library]]:
    """The mounted libraries in folders that the linker shall search, each with its file in the container."""
    for mount in mounts:
        path = PurePosixPath(mount.container_path)
        if str(path.parent) in folders and ".so" in path.name and (elf := _elf(Path(mount.host_path))):
            name = elf.soname or path.name
            yield str(path), Library(name=name, path=str(path.parent / name), machine=elf.machine)


def _linked(link: Link, links: Iterable[Link], found: Sequence[tuple[str, Library]]) -> Library | None:
    """A link in one of the folders as the linker's cache has it: a further name of the library that it leads to."""
    end = follow(link, links)
    for file, one in found:
        if file == end and PurePosixPath(link.path).parent == PurePosixPath(file).parent:
            return Library(name=PurePosixPath(link.path).name, path=link.path, machine=one.machine)
    return None


def _elf(path: Path) -> Elf | None:
    try:
        with path.open("rb") as file:
            return read_elf(lambda offset, size: os.pread(file.fileno(), size, offset))
    except (OSError, IntegrityError):  # no library, whatever it is called
        return None


def _groups(nodes: Iterable[DeviceNode]) -> Iterator[int]:
    """The groups by which device nodes may be opened that not everybody may open."""
    for node in nodes:
        found = Path(node.source).stat()
        may = partial(_may, found.st_mode)
        if stat.S_ISCHR(found.st_mode) and may(3) and not may(0) and found.st_gid:
            yield found.st_gid


def _may(mode: int, shift: int) -> bool:
    return mode >> shift & _READ_WRITE == _READ_WRITE
