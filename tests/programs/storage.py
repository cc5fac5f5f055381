"""Storage of our own for podman and buildah by their settings alone, as a user of both would have it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import PATH, unmount

STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
SETTINGS = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
lock_type = "file"
events_logger = "none"
cgroup_manager = "cgroupfs"
runtime = "runc"
"""


@contextmanager
def storage() -> Iterator[dict[str, str]]:
    """Give the environment in which podman and buildah see nothing but this storage. Needs root."""
    with tempfile.TemporaryDirectory(prefix="tiffin-storage-") as scratch:
        folder = Path(scratch)
        (folder / "storage.conf").write_text(STORAGE.format(folder=folder))
        (folder / "containers.conf").write_text(SETTINGS)
        (folder / "tmp").mkdir()
        try:
            yield {
                **os.environ,
                "PATH": PATH,
                "HOME": scratch,
                "TMPDIR": f"{folder}/tmp",
                "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
                "CONTAINERS_CONF": f"{folder}/containers.conf",
                "BUILDAH_ISOLATION": "chroot",
            }
        finally:
            unmount(folder)
