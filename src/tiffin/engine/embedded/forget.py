"""Forgetting a container on disk: at once as others see it, whoever does it. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator


def forget(path: str, name: str) -> None:
    """Remove a container's folder, and its name where that still means this one; a name that leads nowhere is none."""
    import shutil  # noqa: PLC0415 - it takes long, and a keeper does without

    above, identity = os.path.split(path)
    gone = f"{above}/.gone-{identity}"
    link = f"{above}/names/{name}"
    with locked(f"{above}/names"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, gone)  # noqa: PTH104 - see `stage`
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(link) == f"../{identity}":  # noqa: PTH115 - the link's text
                os.unlink(link)  # noqa: PTH108 - see `stage`
    shutil.rmtree(gone, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Hold a folder's lock, which the kernel lifts when its holder dies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
