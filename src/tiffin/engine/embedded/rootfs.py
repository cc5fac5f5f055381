"""What a stack of unpacked layers looks like from inside, without mounting it: paths are resolved as a chroot would."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from tiffin.engine.embedded.owned import from_below, noted
from tiffin.errors import ConfigError
from tiffin.layers.links import follow, is_opaque

_KERNEL = {"proc", "sys", "dev"}


class HiddenError(ConfigError):
    """A path in what a container wrote that only its own users may look at."""


class Layers:
    """Unpacked layers, bottom first, seen as one tree; nothing outside them is ever looked at.

    `upper` is what a container wrote above them.
    """

    def __init__(self, folders: Sequence[Path], upper: Path | None = None) -> None:
        self._folders = (*([upper] if upper else []), *reversed(folders))
        self._upper = upper
        self._known: dict[str, Path | None] = {}

    def resolve(self, path: str) -> str:
        """Follow every symbolic link of an absolute path, inside the tree; what is absent is kept as it is."""
        return follow(path, self._link)

    def sees(self, path: str) -> bool:
        """Say whether whoever runs this may look at a path, or at what is in its place."""
        try:
            self.resolve(path)
        except HiddenError:
            return False
        return True

    def find(self, path: str) -> Path | None:
        """Where on the host the file or folder lies that the path means, or None."""
        return self._topmost(self.resolve(path))

    def text(self, path: str) -> str:
        """Read a small text file of the image; an absent one is empty."""
        found = self.find(path)
        return found.read_text(errors="replace") if found and found.is_file() else ""

    def program(self, name: str, path: str, cwd: str) -> bool:
        """Say whether `name` can be run, looked for as execvp(3) does."""
        places = [PurePosixPath(cwd)] if "/" in name else [PurePosixPath(cwd) / part for part in path.split(":")]
        paths = [str(place / name) for place in places]
        return any(not self.sees(path) or ((there := self.find(path)) and os.access(there, os.X_OK)) for path in paths)

    def mode(self, path: str) -> int:
        """The permissions of a folder, 0755 for one that is absent or no folder."""
        there = self._topmost(path)
        return stat.S_IMODE(there.stat().st_mode) if there and there.is_dir() else 0o755

    def owner(self, path: str) -> tuple[int, int, int]:
        """Whose a folder is and its permissions, as the topmost layer that has it says; root's and 0755 if none has."""
        for folder in self._folders:
            there = f"{folder}{path}"
            if folder != self._upper and Path(there).is_dir() and not from_below(there):
                return noted(there) or (0, 0, stat.S_IMODE(Path(there).lstat().st_mode))
        return 0, 0, 0o755

    def _link(self, path: str) -> str | None:
        there = self._topmost(path)
        return os.readlink(there) if there and there.is_symlink() else None  # noqa: PTH115 - its text, maybe absolute

    def _topmost(self, path: str) -> Path | None:
        """The entry of the topmost layer that has this path, whose links were resolved before."""
        if path not in self._known:
            self._known[path] = self._look(path)
        return self._known[path]

    def _look(self, path: str) -> Path | None:
        above = path.rpartition("/")[0]
        if above and self._topmost(above) is None:
            return None
        for folder in self._folders:
            if _leads_away(folder, path):
                return None
            there = Path(f"{folder}{path}")
            if _exists(there, path):
                return None if _whiteout(there) else there
            if _hides(folder, path):
                return None
        return None


@functools.lru_cache(maxsize=16)
def unwritten(folders: tuple[Path, ...]) -> Layers:
    """Unpacked layers with nothing written above them: they never change, so what was seen of them is remembered."""
    return Layers(folders)


def _leads_away(folder: Path, path: str) -> bool:
    """Say whether a layer has a link or a file where the layers above it have a folder: it would be followed here."""
    for parent in map(str, reversed(PurePosixPath(path).parents)):
        there = Path(f"{folder}{parent}")
        if there.is_symlink() or not there.is_dir():
            return os.path.lexists(there)
    return False


def _hides(folder: Path, path: str) -> bool:
    """Say whether a layer without this path hides it in those below: by what it has in the place of a parent."""
    for parent in map(str, PurePosixPath(path).parents):
        there = Path(f"{folder}{parent}")
        if os.path.lexists(there):
            return there.is_symlink() or not there.is_dir() or is_opaque(there)
    return False


def _exists(there: Path, path: str) -> bool:
    """Say whether there is anything; where only another user may look, a link could lead anywhere."""
    try:
        there.lstat()
    except PermissionError:
        message = f"{path} lies in a folder that only the container's own users may enter"
        raise HiddenError(message, "choose another path") from None
    except OSError:
        return False
    return True


def _whiteout(path: Path) -> bool:
    """Overlay's mark of a path that a layer takes away: a character device 0:0."""
    found = path.lstat()
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


class Top(msgspec.Struct, frozen=True, kw_only=True):
    """The layer above all others: folders with their permissions, parents first, and small files."""

    folders: tuple[tuple[str, int], ...]
    files: dict[str, str]


def top(layers: Layers, folders: Iterable[str], files: dict[str, str]) -> Top:
    """Make a layer that has all these paths, already resolved; folders keep the permissions that the image gives them.

    A mount point made here is ours whatever the image has there, so no link in an image leads a mount astray.
    """
    needed = {path for path in folders if path != "/"}
    needed |= {str(parent) for path in (*needed, *files) for parent in PurePosixPath(path).parents} - {"/"}
    return Top(folders=tuple((path, layers.mode(path)) for path in sorted(needed)), files=files)


def inside(layers: Layers, what: str, path: str) -> str:
    """Resolve a path the user or the image names; raises ConfigError where it ends in the kernel's own folders."""
    resolved = layers.resolve(path)
    if PurePosixPath(resolved).parts[1:2] and PurePosixPath(resolved).parts[1] in _KERNEL:
        raise ConfigError(f"{what} {path!r} leads to {resolved} in the image", "choose another path")
    return resolved
