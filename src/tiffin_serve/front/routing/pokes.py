"""A word to whoever keeps the service running that something has changed: a datagram with its name, and no answer."""

from __future__ import annotations

import contextlib
import socket


class Poker:
    """Pokes at a path; nobody there, or nobody who listens, is fine."""

    def __init__(self, name: str, path: str) -> None:
        self._name = name.encode()
        self._path = path
        self._socket: socket.socket | None = None
        if path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def poke(self) -> None:
        """Say that a look is worth the while."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(self._name, self._path)

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
