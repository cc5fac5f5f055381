"""What a step outside a container reads: links, or its own copies of what is kept where nothing confines it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tiffin.durable import room_in
from tiffin.pipeline.benches.orders import Places
from tiffin.pipeline.workbench import Input, Order
from tiffin.progress import step

_WORTH = 64 << 20
"""Bytes from which on a copy is told of."""
_READ_ONLY = 0o555


def lay_inputs(order: Order, places: Places, lay: Callable[[Input, Path], None]) -> None:
    """Let each input lie under its own name, as it does in a container, by a `link` or as the step's `own`."""
    for name in order.inputs:
        for given, path in places.inputs_of(order, name):
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            lay(given, target)


def link(given: Input, target: Path) -> None:
    """Let it be read where it lies."""
    target.symlink_to(given.path.resolve())


def own(given: Input, target: Path) -> None:
    """Copy what is kept, and link to what lies where users have it.

    What is kept is another name of a blob: a step that writes to it, which nothing keeps it from, would spoil the
    result of another. Raises FullError where there is no room for a copy.
    """
    if not given.kept:
        link(given, target)
    elif given.size < _WORTH:
        _copy_all(given.path, target)
    else:
        with step("copy", given.name):
            _copy_all(given.path, target)


def _copy_all(source: Path, target: Path) -> None:
    with room_in(target.parent, "what a step reads"):
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, copy_function=copy_file)
        else:
            copy_file(source, target)


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file, to be read only; where the file system can (Btrfs, XFS), its blocks are shared until one is written.

    That is what copy_file_range(2) does by itself.
    """
    with Path(source).open("rb") as reading, Path(target).open("xb") as writing:
        there = os.fstat(reading.fileno())
        left = there.st_size
        try:
            while left and (done := os.copy_file_range(reading.fileno(), writing.fileno(), left)):
                left -= done
        except OSError:  # from one file system to another, or one that knows nothing of it
            reading.seek(0)
            writing.seek(0)
            shutil.copyfileobj(reading, writing)
        os.fchmod(writing.fileno(), there.st_mode & _READ_ONLY)
