"""Plain files and folders as entries: the user's code, and trained weights.

Of a file's metadata only the execute bit goes into an image, so that user, umask and clock do not matter.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.errors import ConfigError, NotFoundError
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.layers.write import write_layer
from tiffin.oci.store import Ingests

OWN_LAYER = 64 << 20
"""Bytes from which a weights file gets a layer of its own, uncompressed: weights hardly compress."""
BUNDLE = 256 << 20
"""Bytes that smaller weights files share a compressed layer up to."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that make one layer of weights."""

    entries: list[Entry]
    compress: bool


def tree_entries(root: Path, files: Iterable[Path], prefix: str) -> list[Entry]:
    """Make the entries of files below `root`, at the same places below `prefix`; raises ConfigError, NotFoundError.

    A link is kept if it is relative and stays below `root`; folders are given by what is in them.
    """
    return [_entry(root, file, prefix) for file in files]


def _entry(root: Path, file: Path, prefix: str) -> Entry:
    inside = _inside(root, file)
    path = f"{prefix.strip('/')}/{inside}"
    try:
        status = os.lstat(root / inside)
    except OSError as error:
        raise NotFoundError(f"cannot read {root / inside}: {error.strerror}") from error
    if stat.S_ISLNK(status.st_mode):
        return Entry.symlink(path, _target(root, inside))
    if stat.S_ISDIR(status.st_mode):
        return Entry.directory(path)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{root / inside} is no file, folder or link", "leave it out with `include` under [image]")
    return Entry.file(path, status.st_size, partial(_open, root / inside), executable=bool(status.st_mode & 0o111))


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _inside(root: Path, file: Path) -> str:
    """Name a file by its place below `root`."""
    relative = os.path.relpath(root / file, root)
    folder = (root / relative).parent
    if relative.split("/")[0] == ".." or folder.resolve() != root.resolve() / os.path.relpath(folder, root):
        raise ConfigError(f"{file} is not below {root}", "move it there, or mount it as [[data]]")
    return relative


def _target(root: Path, inside: str) -> str:
    """Read a link that may be kept: one that means the same wherever the folder is."""
    target = str((root / inside).readlink())
    landing = posixpath.normpath(posixpath.join(posixpath.dirname(inside), target))
    if target.startswith("/") or landing == ".." or landing.startswith("../"):
        raise ConfigError(
            f"{root / inside} is a link to {target}, which is not below {root}",
            "put the file itself there, or mount it as [[data]]",
        )
    return target


def weight_bundles(entries: Iterable[Entry]) -> list[Bundle]:
    """Decide which weights share a layer: large files have their own, so that a retrain re-sends what changed only."""
    ordered = sorted(entries, key=lambda entry: entry.path.encode())
    large = [Bundle(entries=[entry], compress=False) for entry in ordered if entry.size >= OWN_LAYER]
    small: list[Bundle] = []
    size = BUNDLE + 1
    for entry in ordered:
        if entry.size >= OWN_LAYER:
            continue
        size += entry.size
        if size > BUNDLE:
            small.append(Bundle(entries=[], compress=True))
            size = entry.size
        small[-1].entries.append(entry)
    return large + small


def weight_layers(entries: Iterable[Entry], store: Ingests) -> list[Layer]:
    """Write the layers of `weight_bundles`."""
    return [write_layer(bundle.entries, store, compress=bundle.compress) for bundle in weight_bundles(entries)]
