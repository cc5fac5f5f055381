"""Hears from fronts that a look is worth the while: datagrams with a service's name, on a socket of the home's own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

LONGEST_NAME = 64
AT_ONCE = 256
"""So many datagrams are taken before anything else has its turn; what is more comes in the next."""


class Pokes:
    """The socket, and who is told of each name that comes; a name that comes often is told once a turn."""

    def __init__(self, path: Path, told: Callable[[str], None]) -> None:
        self._told = told
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        path.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)  # an address must be short
        try:
            self._socket.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._socket.fileno()

    def hear(self) -> None:
        """Take what has come."""
        names = set[bytes]()
        for _ in range(AT_ONCE):
            try:
                names.add(self._socket.recv(LONGEST_NAME))
            except BlockingIOError:
                break
        for name in names:
            self._told(name.decode("utf-8", "replace"))

    def close(self) -> None:
        """Hear nothing more."""
        self._socket.close()
