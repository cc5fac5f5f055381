"""A dockerd of our own: Debian's, with its own data, socket and containerd, no bridge and no iptables."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .client import Client
from .process import PATH, started, unmount

CLIENT = "/usr/bin/docker"
"""Debian's client: one from elsewhere may be newer than this daemon and lack BuildKit."""


@contextmanager
def dockerd() -> Iterator[Client]:
    """Run a daemon while the block runs; containers, images and mounts end with it. Needs root."""
    with tempfile.TemporaryDirectory(prefix="tiffin-dockerd-") as scratch:
        folder = Path(scratch)
        docker = Client((CLIENT,), _environment(folder))
        try:
            with started(_daemon(folder), folder / "log", lambda: docker.succeeds("version")):
                try:
                    yield docker
                finally:
                    docker.remove_all()
        finally:
            unmount(folder)


def _environment(folder: Path) -> dict[str, str]:
    """What makes a client speak to this daemon, build with BuildKit, and read nobody's settings."""
    return {
        "PATH": PATH,
        "DOCKER_HOST": f"unix://{folder}/docker.sock",
        "DOCKER_CONFIG": f"{folder}/config",
        "DOCKER_BUILDKIT": "1",
    }


def _daemon(folder: Path) -> list[str]:
    return [
        "/usr/sbin/dockerd",
        "--bridge=none",
        "--iptables=false",
        "--ip-masq=false",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{folder}/docker.sock",
    ]
