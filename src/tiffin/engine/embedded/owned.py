"""Trees of files that belong to many: made of an unpacked layer whose owners are only noted, and removed again.

A process of its own, since an ordinary user's must be root of a namespace with those ids. Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys

from tiffin.engine.embedded import mapping, stage

OWNER_ATTRIBUTE = "user.tiffin.owner"
"""What the unpacker notes, and how: `uid:gid:mode` (see `tiffin.layers.unpack`)."""
_FROM_BELOW = b"-"
_OPAQUE = "user.overlay.opaque"
_SECRET = 0o700

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from typing import TypedDict

    class Plan(TypedDict):
        """Copy or remove a tree.

        `copy` is a tree and where it is made anew above those `below`, topmost first; `uids` and `gids` are added to
        its numbers, and those after the `last` are `nobody`'s.
        """

        maps: mapping.Maps | None
        copy: tuple[str, str] | None
        below: list[str]
        remove: str
        uids: int
        gids: int
        last: int
        nobody: int


def main() -> None:
    """Enter the namespace, if there is one, and do what the plan says."""
    plan: Plan = json.loads(sys.argv[1])
    try:
        if plan["maps"]:
            mapping.enter(plan["maps"])
        elif os.geteuid():
            stage.enter_user_namespace()
        os.umask(0)
        if plan["copy"]:
            Tree(plan).copy(*plan["copy"])
        else:
            shutil.rmtree(plan["remove"])
    except stage.Refused as refusal:
        os.write(2, f"{refusal}; {refusal.hint}\n".encode())
        os._exit(1)
    except OSError as error:
        os.write(2, f"{error}\n".encode())
        os._exit(1)


class Tree:
    """A copy of a tree in which everything belongs to whom the layer says."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._top = plan["copy"][1] if plan["copy"] else ""
        self._links: dict[int, str] = {}

    def copy(self, source: str, target: str) -> None:
        """Copy what is in a folder, and give it, its files and folders their owners; parents get theirs last."""
        with os.scandir(source) as entries:
            for entry in entries:
                self._copy(entry, f"{target}/{entry.name}")
        if not (from_below(source) and self._inherit(target)):
            self._own(source, target)
        _hide_as(source, target)

    def _inherit(self, target: str) -> bool:
        """Give a folder that only the layers below speak of the owner and mode that it has there."""
        path = target.removeprefix(self._top)
        for folder in self._plan["below"]:
            try:
                found = os.lstat(folder + path)
            except OSError:
                continue
            if not stat.S_ISDIR(found.st_mode):
                return False
            os.chown(target, found.st_uid, found.st_gid)
            os.chmod(target, stat.S_IMODE(found.st_mode))  # noqa: PTH101 - see `stage`
            return True
        return False

    def _copy(self, entry: os.DirEntry[str], target: str) -> None:
        found = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(target, _SECRET)  # noqa: PTH102 - see `stage`
            self.copy(entry.path, target)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(entry.path), target)  # noqa: PTH115, PTH211 - see `stage`
            os.chown(target, *self._seen(0, 0), follow_symlinks=False)
        elif stat.S_ISCHR(found.st_mode):  # overlay's mark of what is taken away
            os.mknod(target, found.st_mode, found.st_rdev)
        elif first := self._links.get(found.st_ino):
            os.link(first, target)
        else:
            _copy_file(entry.path, target, found.st_size)
            self._own(entry.path, target)
            if found.st_nlink > 1:
                self._links[found.st_ino] = target

    def _own(self, source: str, target: str) -> None:
        """Give a file or folder its owner and then its mode: a new owner takes bits of the mode away."""
        uid, gid, mode = noted(source) or (0, 0, stat.S_IMODE(os.stat(source).st_mode))  # noqa: PTH116 - see `stage`
        os.chown(target, *self._seen(uid, gid))
        os.chmod(target, mode)  # noqa: PTH101 - see `stage`

    def _seen(self, uid: int, gid: int) -> tuple[int, int]:
        plan = self._plan
        uid, gid = (plan["nobody"] if number > plan["last"] else number for number in (uid, gid))
        return plan["uids"] + uid, plan["gids"] + gid


def from_below(path: str) -> bool:
    """Say whether a layer has a folder only for what is in it, and the layers below say whose it is."""
    try:
        return os.getxattr(path, OWNER_ATTRIBUTE, follow_symlinks=False) == _FROM_BELOW
    except OSError:
        return False


def noted(path: str) -> tuple[int, int, int] | None:
    """What the layer says of the uid, gid and mode of an unpacked file or folder, if it is not what everything has."""
    try:
        uid, gid, mode = os.getxattr(path, OWNER_ATTRIBUTE, follow_symlinks=False).decode().split(":")
        return int(uid), int(gid), int(mode, 8)
    except (OSError, ValueError):
        return None


def _hide_as(source: str, target: str) -> None:
    """Let a folder hide what is below it, if the layer's own does."""
    try:
        os.setxattr(target, _OPAQUE, os.getxattr(source, _OPAQUE))
    except OSError:  # it hides nothing
        return


def _copy_file(source: str, target: str, size: int) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while size > 0 and (sent := os.copy_file_range(reading, writing, size)):
            size -= sent
    finally:
        os.close(reading)
        os.close(writing)
