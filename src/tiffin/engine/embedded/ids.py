"""Which ids of the host the users of a container are: one, or a range of them for images with several users.

A container of several users has the ids 0 to `last` inside. Run as root, they are a range of the host's that belongs to
nobody, never 0. Run by an ordinary user, root inside is that user, and all others are those of /etc/subuid, which
newuidmap(1) may map. Why there are two layers of namespaces then, and who owns files, is in docs/adr/0018.
"""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiffin.engine.embedded.mapping import PATH
from tiffin.engine.spec import ContainerSpec
from tiffin.errors import ConfigError, TiffinError, UnsupportedError

if TYPE_CHECKING:
    from tiffin.engine.embedded.mapping import Maps

UNUSED = 0x70000000
"""The first of the ids that systemd's plan leaves to nobody (systemd.io, "Users, Groups, UIDs and GIDs")."""
COUNT = 65536
NOBODY = 65534

Range = tuple[int, int]
"""The first id, and how many there are."""


class Ids(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of the host that a container's are; `me` is who root inside is where tiffin is not run as root."""

    uids: Range
    gids: Range
    me: tuple[int, int] | None = None

    @property
    def key(self) -> str:
        """What trees of files whose owners these are have in their name."""
        return f"{self.uids[0]}-{self.gids[0]}-{self.count}"

    @property
    def count(self) -> int:
        """How many ids there are inside, from 0 on."""
        return min(self.uids[1], self.gids[1]) + (self.me is not None)

    def seen(self, uid: int, gid: int) -> tuple[int, int]:
        """The numbers by which those who build the container, root or root of the outer namespace, know its users."""
        last = self.count - 1
        uid, gid = (min(number, last, NOBODY) if number > last else number for number in (uid, gid))
        return (uid, gid) if self.me else (self.uids[0] + uid, self.gids[0] + gid)

    def maps(self) -> Maps:
        """What is written where; the inner map has a line for each of the outer one, since the kernel wants it so."""
        if self.me is None:
            return {"outer": [], "uids": _line(0, *self.uids), "gids": _line(0, *self.gids)}
        inner = _line(0, 0, 1) + _line(1, 1, self.count - 1)
        outer = [
            [program, "0", str(own), "1", "1", str(first), str(self.count - 1)]
            for program, own, first in zip(
                ("newuidmap", "newgidmap"), self.me, (self.uids[0], self.gids[0]), strict=True
            )
        ]
        return {"outer": outer, "uids": inner, "gids": inner}


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who the processes of a container are: `host` is whom ours become first, as root; `inside` whom the program does.

    `inside` is None for a container with one user, who is whoever runs it. `maps` is None then too.
    """

    host: tuple[int, int] | None
    inside: tuple[int, int] | None = None
    maps: Maps | None = None


def identity(spec: ContainerSpec, become: int | None, ids: Ids | None) -> Identity:
    """Decide who a container's processes are, given whom ours become otherwise and the ids there are."""
    if not several(spec) or ids is None:
        return one_user(become)
    if max(spec.user) >= ids.count:
        raise ConfigError(
            f"{spec.image} runs as user {spec.user[0]}:{spec.user[1]}, and a container has the users below {ids.count}",
            "choose another: `-u 1000`, or make the range in /etc/subuid and /etc/subgid longer",
        )
    host = None if ids.me else ids.seen(*spec.user)
    return Identity(host=host, inside=spec.user, maps=ids.maps())


def one_user(become: int | None) -> Identity:
    """Who the processes of a container with one user are."""
    return Identity(host=None if become is None else (become, become))


def several(spec: ContainerSpec) -> bool:
    """Say whether a container's files have owners: those of images that are not tiffin's, or that are written to."""
    return spec.several_ids or not spec.read_only


def refuse_without_ids(spec: ContainerSpec, ids: Ids | None) -> None:
    """Refuse an image that needs several users where there is one; its own user alone can be anybody."""
    if ids is None and several(spec) and (spec.user[0] == 0 or (os.geteuid() == 0 and not spec.read_only)):
        raise refused(spec)


def refused(spec: ContainerSpec) -> TiffinError:
    """Why there is no range of ids, and the command that makes one."""
    name = username()
    fix = f"`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}`"
    lacking = "" if _programs() else "`sudo apt-get install uidmap` and "
    return UnsupportedError(
        f"{spec.image} runs as root and may have several users, and {name} has no range of ids for them",
        f"give it one: {lacking}{fix}; or run it as one user: `-u 65532`",
    )


def find(euid: int, egid: int, *, confined: bool) -> Ids | None:
    """Look for a range of ids on this machine; `confined` says that this namespace has no ids to give away."""
    texts = (Path("/etc/subuid"), Path("/etc/subgid"))
    uids, gids = (given(text.read_text() if text.exists() else "", username(), euid) for text in texts)
    if euid == 0:
        return None if confined else of_root(uids, gids, *(_text(f"/proc/self/{kind}_map") for kind in ("uid", "gid")))
    if not (uids and gids and _programs()):
        return None
    return Ids(uids=uids, gids=gids, me=(euid, egid))


def of_root(uids: Range | None, gids: Range | None, uid_map: str, gid_map: str) -> Ids | None:
    """Choose root's range: its own of /etc/subuid, else one that nobody has; None where this namespace lacks it."""
    chosen = [given if given and given[1] >= COUNT else (UNUSED, COUNT) for given in (uids, gids)]
    fits = all(_within(range_, text) for range_, text in zip(chosen, (uid_map, gid_map), strict=True))
    return Ids(uids=chosen[0], gids=chosen[1]) if fits else None


def given(text: str, name: str, number: int) -> Range | None:
    """Read /etc/subuid or /etc/subgid (subuid(5)): the longest range that a user has there, by name or number."""
    found = []
    for line in text.splitlines():
        who, *numbers = line.strip().split(":")
        if who in {name, str(number)} and len(numbers) == 2 and all(text.isdecimal() for text in numbers):  # noqa: PLR2004
            found.append((int(numbers[0]), int(numbers[1])))
    return max(found, key=lambda range_: range_[1], default=None)


def username() -> str:
    """Who runs this; the number of a user without an entry, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())


def _programs() -> bool:
    return all(shutil.which(program, path=PATH) for program in ("newuidmap", "newgidmap"))


def _within(range_: Range, text: str) -> bool:
    """Say whether a map of ids, as /proc has it, holds a whole range inside."""
    lines = ([int(field) for field in line.split()] for line in text.splitlines())
    return any(first <= range_[0] and range_[0] + range_[1] <= first + count for first, _, count in lines)


def _line(inside: int, outside: int, count: int) -> str:
    return f"{inside} {outside} {count}\n"


def _text(path: str) -> str:
    return Path(path).read_text()
