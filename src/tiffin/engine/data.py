"""Whether a container would find the data that its image declares: decided before anything runs. Pure.

The permissions of files are judged here as the kernel judges them (path_resolution(7)), for whoever the container's
user is on this machine. What cannot be seen from here is not refused here: a remote engine's files, access lists.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import msgspec

from tiffin.engine.declared import Data
from tiffin.engine.refused import refused_mount
from tiffin.engine.spec import Mount, Obstacle
from tiffin.errors import ConfigError


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the container's user is for the files of this machine; `unshare` goes before a `chown` to its number.

    `number` is what that `chown` is told; `caller` is whoever is to run it.
    """

    uid: int
    groups: frozenset[int] = frozenset()
    number: int
    unshare: str = ""
    caller: int = 0


class Inode(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a file is and what its owner, group and others may do; `listed` is one with an access list besides."""

    uid: int
    gid: int
    mode: int
    listed: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What lies at a mount's source: itself, and the first things in a folder.

    `here` is False where nothing is, and `itself` None where it may not even be looked at from here. `locked` is a file
    system that nobody writes to.
    """

    here: bool = True
    itself: Inode | None = None
    empty: bool = False
    within: tuple[Inode, ...] = ()
    locked: bool = False


def writable_where_declared(
    mounts: Iterable[Mount], declared: Iterable[Data], kept: Iterable[str]
) -> tuple[Mount, ...]:
    """Let mounts onto data that is declared writable be written to, unless they were asked for `:ro` (`kept`)."""
    writable = {data.path for data in declared if data.write} - set(kept)
    return tuple(
        msgspec.structs.replace(mount, read_only=False) if mount.target in writable else mount for mount in mounts
    )


def sources(declared: Iterable[Data], mounts: Sequence[Mount]) -> dict[str, str]:
    """Where on this machine each declared path comes from; one that no mount covers is not among them."""
    found = {data.path: _covering(data.path, mounts) for data in declared}
    return {path: _source(path, mount) for path, mount in found.items() if mount}


def obstacles(
    image: str, declared: Iterable[Data], mounts: Sequence[Mount], seen: Mapping[str, Seen], who: Who
) -> list[Obstacle]:
    """Say why a container would not find its data; a source that is not in `seen` cannot be seen from here."""
    needed, image = list(declared), image.partition("@")[0]
    absent = [mount for mount in mounts if (there := seen.get(mount.source)) and not there.here]
    gone = [_absent(mount) for mount in absent]
    without = [data for data in needed if (mount := _covering(data.path, mounts)) is None or mount not in absent]
    return [*gone, *(found for data in without for found in _obstacle(image, data, mounts, seen, who))]


def refuse(found: Sequence[Obstacle]) -> None:
    """Raise ConfigError with everything that was found."""
    if found:
        raise ConfigError("; ".join(one.message for one in found), "; ".join(dict.fromkeys(one.hint for one in found)))


def permits(inode: Inode, who: Who, need: int) -> bool:
    """Say whether the kernel lets this user do all of it: a sum of R_OK, W_OK and X_OK."""
    if inode.listed:
        return True
    shift = 6 if inode.uid == who.uid else 3 if inode.gid in who.groups else 0
    return inode.mode >> shift & need == need


def _obstacle(
    image: str, data: Data, mounts: Sequence[Mount], seen: Mapping[str, Seen], who: Who
) -> Iterator[Obstacle]:
    mount = _covering(data.path, mounts)
    if mount is None:
        yield _unmounted(image, data)
        return
    source = _source(data.path, mount)
    there = seen.get(source)
    if data.write and mount.read_only:
        message = f"the data {data.name!r} of {image} is written to, and {data.path} is mounted read-only"
        yield Obstacle(message=message, hint=f"`-v {mount.source}:{mount.target}:rw`")
    elif there and not there.here:
        message = f"{source}, the data {data.name!r} of {image}, does not exist"
        yield Obstacle(message=message, hint=f"put it there, or mount what has it: `-v FOLDER:{data.path}`")
    elif there and there.itself:
        yield from _unusable(image, data, source, there, who)


def _unusable(image: str, data: Data, source: str, there: Seen, who: Who) -> Iterator[Obstacle]:
    """What is there, and yet is of no use to the container's user."""
    assert there.itself is not None  # noqa: S101 - the caller looked
    whom = f"the container's user ({who.uid})"
    if not _readable(there.itself, who) or (there.within and not any(_readable(one, who) for one in there.within)):
        message = f"{source}, the data {data.name!r} of {image}, cannot be read by {whom}"
        yield Obstacle(message=message, hint=f"`{_let_read(source, there.itself, who)}`")
    elif data.write and there.locked:
        message = f"{source}, the data {data.name!r} of {image}, is on a file system that is mounted read-only"
        yield Obstacle(message=message, hint=f"mount another folder: `-v FOLDER:{data.path}`")
    elif data.write and not permits(there.itself, who, os.W_OK):
        message = f"{source}, the data {data.name!r} of {image}, cannot be written by {whom}"
        yield Obstacle(message=message, hint=f"`{_let_write(source, there.itself, who)}`")
    elif there.empty and not data.write:
        message = f"{source}, the data {data.name!r} of {image}, is empty"
        yield Obstacle(message=message, hint=f"mount what has it: `-v FOLDER:{data.path}`")


def _unmounted(image: str, data: Data) -> Obstacle:
    message = f"{image} needs its data {data.name!r} at {data.path}, and nothing is mounted there"
    return Obstacle(message=message, hint=f"say where it lies: `-v FOLDER:{data.path}`")


def _absent(mount: Mount) -> Obstacle:
    error = refused_mount(mount, mount.source)
    return Obstacle(message=error.message, hint=error.hint or "")


def _covering(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The mount by which something is at this path: onto it, or onto the nearest folder above."""
    above = [mount for mount in mounts if PurePosixPath(path).is_relative_to(mount.target)]
    return max(above, key=lambda mount: len(PurePosixPath(mount.target).parts), default=None)


def _source(path: str, mount: Mount) -> str:
    rest = PurePosixPath(path).relative_to(mount.target)
    return mount.source if rest == PurePosixPath() else f"{mount.source}/{rest}"


def _readable(inode: Inode, who: Who) -> bool:
    return permits(inode, who, os.R_OK | (os.X_OK if stat.S_ISDIR(inode.mode) else 0))


def _let_read(source: str, inode: Inode, who: Who) -> str:
    return f"{_rights(inode, who)}chmod {_recursive(inode)}a+rX {shlex.quote(source)}"


def _let_write(source: str, inode: Inode, who: Who) -> str:
    """Give it to the container's user, rather than let everybody write; its owner may lack the right alone."""
    where = f"{_recursive(inode)}{{}} {shlex.quote(source)}"
    if inode.uid == who.uid:
        return f"{_rights(inode, who)}chmod " + where.format("u+rwX")
    command = f"{who.unshare or _sudo(who)}chown " + where.format(who.number)
    return (
        command
        if inode.mode & stat.S_IWUSR
        else f"{command} && {who.unshare or _sudo(who)}chmod " + where.format("u+rwX")
    )


def _rights(inode: Inode, who: Who) -> str:
    """What goes before a command that only the owner and root may run."""
    return "" if inode.uid == who.caller else _sudo(who)


def _sudo(who: Who) -> str:
    return "sudo " if who.caller else ""


def _recursive(inode: Inode) -> str:
    return "-R " if stat.S_ISDIR(inode.mode) else ""
