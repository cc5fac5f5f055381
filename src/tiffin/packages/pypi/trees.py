"""A local project as the tar that its build gets: the files that may matter, in one order, with one owner and time.

Its digest is of paths, contents, links and executable bits. So the same checkout is the same source in another folder,
for another user, umask and clock, and after another tool left its caches in it.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from tiffin.errors import ConfigError, DeniedError
from tiffin.oci.digest import Digest

EPOCH = 315532800
"""1980-01-01, the first time a zip can hold: when every file of a source was written."""
_ROOT = "source"
_LARGEST = 256 << 20
"""Bytes of the largest source: the build unpacks it into memory."""
_LEFT_OUT = {
    ".git", ".hg", ".svn", ".bzr", ".jj", "__pycache__", "node_modules", ".venv", ".tox", ".nox", ".eggs", ".cache",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints", ".idea", ".vscode", ".DS_Store",
}  # fmt: skip
"""What version control, environments, caches and editors keep beside a source."""
_MADE = (".egg-info", ".dist-info", ".pyc")


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a source: name -> path here, sorted by name."""

    folder: Path
    files: tuple[tuple[str, Path], ...]

    @classmethod
    def of(cls, folder: Path, without: Collection[Path] = ()) -> Tree:
        """List a folder's files but those in `without`; raises ConfigError for what no source may have."""
        found = sorted(_walk(folder, folder, frozenset(without)))
        return cls(folder=folder, files=tuple(_small_enough(folder, found)))

    @property
    def digest(self) -> Digest:
        """What stands for everything in it."""
        hashed = hashlib.sha256()
        for name, path in self.files:
            link, executable, content = _described(path)
            said = f"{name}\0{link}\0{executable:d}\0{hashlib.sha256(content).hexdigest()}\n"
            hashed.update(os.fsencode(said))
        return Digest.parse(f"sha256:{hashed.hexdigest()}")

    def pack(self, out: BinaryIO) -> None:
        """Write the tar, all of it under one folder."""
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, path in self.files:
                link, executable, content = _described(path)
                member = tarfile.TarInfo(f"{_ROOT}/{name}")
                member.mtime, member.size = EPOCH, len(content)
                member.mode = 0o755 if executable else 0o644
                if link:
                    member.type, member.linkname = tarfile.SYMTYPE, link
                archive.addfile(member, io.BytesIO(content))


def _walk(root: Path, folder: Path, without: frozenset[Path]) -> Iterator[tuple[str, Path]]:
    try:
        entries = list(os.scandir(folder))
    except PermissionError as error:
        raise DeniedError(f"cannot read {folder}", f"`chmod u+rx {folder}`") from error
    for entry in entries:
        path = Path(entry.path)
        if entry.name in _LEFT_OUT or entry.name.endswith(_MADE) or path in without or _is_made(path, root):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path, without)
        elif entry.is_symlink() or entry.is_file():
            _check_link(path, root)
            yield path.relative_to(root).as_posix(), path


def _is_made(path: Path, root: Path) -> bool:
    """Whether a folder is an environment, or one that a build of setuptools left behind and would take files from."""
    if (path / "pyvenv.cfg").exists():
        return True
    left = path.parent == root and path.name == "build"
    return left and ((path / "lib").is_dir() or any(path.glob("bdist.*")) or any(path.glob("lib.*")))


def _check_link(path: Path, root: Path) -> None:
    """Refuse a link that leads out of the source: it would bring files of this machine into the wheel."""
    if path.is_symlink():
        link = PurePosixPath(os.readlink(path))  # noqa: PTH115 - the text of the link
        inside = Path(os.path.normpath(path.parent / link)).is_relative_to(root)
        if link.is_absolute() or not inside or not path.resolve().is_relative_to(root.resolve()):
            raise ConfigError(f"{path} is a link out of {root}: {link}", "put a copy in its place")


def _small_enough(root: Path, files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    sizes = {name: path.lstat().st_size for name, path in files}
    total = sum(sizes.values())
    if total > _LARGEST:
        largest = max(sizes, key=lambda name: sizes[name])
        message = f"{root} has {total >> 20} MB to build a wheel from, the largest is {largest}: too much for a source"
        raise ConfigError(message, "keep data and weights in another folder; with uv, `[tool.uv] package = false`")
    return files


def _described(path: Path) -> tuple[str, bool, bytes]:
    """Read the text of a link, or whether a file is a program and what it holds."""
    if path.is_symlink():
        return os.readlink(path), False, b""  # noqa: PTH115 - the text of the link
    try:
        return "", bool(path.stat().st_mode & stat.S_IXUSR), path.read_bytes()
    except PermissionError as error:
        raise DeniedError(f"cannot read {path}", f"`chmod u+r {path}`") from error
