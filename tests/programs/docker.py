"""A dockerd of our own: Debian's, with its own data, socket and containerd, no iptables, and no bridge unless asked."""

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
def dockerd(network: tuple[str, ...] = ()) -> Iterator[Client]:
    """Run a daemon while the block runs; containers, images and mounts end with it. Needs root.

    With a network of its own (`own_network`) it has its bridge, and publishes ports there.
    """
    with tempfile.TemporaryDirectory(prefix="tiffin-dockerd-") as scratch:
        folder = Path(scratch)
        docker = Client((CLIENT,), _environment(folder))
        try:
            with started(
                [*network, *_daemon(folder, bridge=bool(network))], folder / "log", lambda: docker.succeeds("version")
            ):
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


def _daemon(folder: Path, *, bridge: bool) -> list[str]:
    return [
        "/usr/sbin/dockerd",
        *([] if bridge else ["--bridge=none"]),
        "--iptables=false",
        "--ip-masq=false",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{folder}/docker.sock",
    ]
