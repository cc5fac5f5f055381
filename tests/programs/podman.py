"""A podman of our own: Debian's, with its own storage, locks and temporary files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .client import Client
from .process import PATH, unmount

LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")
"""podman asks for more than a machine may give and then fails, unless it is told."""

CONFIG = '[engine]\nlock_type = "file"\n'
"""Locks in files of its own rather than in memory that every podman of the machine shares."""


@contextmanager
def podman() -> Iterator[Client]:
    """Give a podman with nothing in it; containers, images and mounts end with the block. Needs root."""
    with tempfile.TemporaryDirectory(prefix="tiffin-podman-") as scratch:
        folder = Path(scratch)
        (folder / "containers.conf").write_text(CONFIG)
        environment = {"PATH": PATH, "HOME": scratch, "CONTAINERS_CONF": f"{folder}/containers.conf"}
        own = Client(_program(folder), environment, LIMITS)
        try:
            yield own
        finally:
            own.remove_all()
            unmount(folder)


def _program(folder: Path) -> tuple[str, ...]:
    return (
        "/usr/bin/podman",
        f"--root={folder}/root",
        f"--runroot={folder}/run",
        f"--tmpdir={folder}/tmp",
        "--storage-driver=overlay",
        "--runtime=runc",
        "--cgroup-manager=cgroupfs",
        "--events-backend=none",
    )
