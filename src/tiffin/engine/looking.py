"""Looking at what would be mounted, and at who the container's user is on this machine: the rim of `data`."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from tiffin.engine.data import Inode, Seen, Who, obstacles, sources
from tiffin.engine.declared import declared_data
from tiffin.engine.spec import ContainerSpec, Obstacle

_LOOKED_AT = 32
"""Things in a folder that are looked at: enough to tell a folder of somebody else's files."""
_NOBODYS = {"lost+found"}
"""What a new file system has in it."""
_ACCESS_LIST = "system.posix_acl_access"


def data_obstacles(spec: ContainerSpec, who: Who) -> list[Obstacle]:
    """Look whether a container would find the data that its image declares, and the sources of its mounts."""
    declared = declared_data(spec.labels)
    places = {mount.source for mount in spec.mounts} | set(sources(declared, spec.mounts).values())
    seen = {place: found for place in places if place.startswith("/") and (found := look(Path(place)))}
    return obstacles(spec.image, declared, spec.mounts, seen, who)


def look(path: Path) -> Seen | None:
    """Look at a file or folder; None where this process may not."""
    try:
        found = path.stat()
        locked = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return Seen(here=False)
    except OSError:
        return None
    itself = _inode(path, found)
    if not stat.S_ISDIR(found.st_mode):
        return Seen(itself=itself, empty=stat.S_ISREG(found.st_mode) and not found.st_size, locked=locked)
    try:
        within = [entry for entry in itertools.islice(_entries(path), _LOOKED_AT) if entry.name not in _NOBODYS]
    except OSError:
        return Seen(itself=itself, locked=locked)
    return Seen(itself=itself, empty=not within, within=tuple(_inodes(within)), locked=locked)


def root_or_self(user: int | None) -> Who:
    """The container's user where it is one user of this machine: this one, or another that root becomes."""
    own = os.geteuid()
    if user is None:
        return Who(uid=own, groups=frozenset({os.getegid(), *os.getgroups()}), number=own, caller=own)
    return Who(uid=user, groups=frozenset({user}), number=user, caller=own)


def daemons(user: tuple[int, int]) -> Who:
    """The container's user where root makes containers: the same numbers on both sides."""
    return Who(uid=user[0], groups=frozenset({user[1]}), number=user[0], caller=os.geteuid())


def rootless(user: tuple[int, int], name: str, own: tuple[int, int], tables: tuple[str, str]) -> Who:
    """The container's user under podman without root: 0 is whoever calls, the others lie in /etc/subuid and subgid."""
    uid, gid = (
        mine if number == 0 else _start(table, name) + number - 1
        for number, mine, table in zip(user, own, tables, strict=True)
    )
    return Who(uid=uid, groups=frozenset({gid}), number=user[0], unshare="podman unshare ", caller=own[0])


def _start(table: str, name: str) -> int:
    """The first number of a user's range; a user without one gets 1, a number that owns nothing."""
    for line in table.splitlines():
        owner, _, rest = line.partition(":")
        first = rest.partition(":")[0]
        if owner == name and first.isdecimal():
            return int(first)
    return 1


def _entries(path: Path) -> Iterable[os.DirEntry[str]]:
    with os.scandir(path) as found:
        yield from found


def _inodes(entries: Iterable[os.DirEntry[str]]) -> Iterable[Inode]:
    for entry in entries:
        try:
            yield _inode(Path(entry.path), entry.stat())
        except OSError:  # a link to nothing, or gone meanwhile
            continue


def _inode(path: Path, found: os.stat_result) -> Inode:
    try:
        listed = _ACCESS_LIST in os.listxattr(path)
    except OSError:
        listed = False
    return Inode(uid=found.st_uid, gid=found.st_gid, mode=found.st_mode, listed=listed)
