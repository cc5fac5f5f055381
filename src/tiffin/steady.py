"""Sockets that end what makes no progress."""

from __future__ import annotations

import io
import socket
import time
from typing import Any, Literal

SLOWEST = 1000
"""Bytes a second; who sends fewer for as long as he might have been silent does not mean to come to an end."""


class TooSlowError(TimeoutError):
    """So few bytes came that the rest will not come in anybody's time."""


class Steady:
    """A socket that ends what makes no progress.

    A time limit of the system's holds for one wait: who sends a byte a second is never silent, and a large piece that
    takes long to send is no failure as long as some of it is taken.
    """

    def __init__(self, connected: socket.socket, silence: float) -> None:
        """Watch a socket; `silence` is for how many seconds it may make no progress."""
        self._socket, self._silence = connected, silence

    def makefile(self, mode: Literal["rb"]) -> io.BufferedReader:
        """Read an answer, watched."""
        return io.BufferedReader(_Watched(self._socket.makefile(mode, buffering=0), self._silence))

    def sendall(self, data: bytes) -> None:
        """Send everything, however long it takes, while some of it is taken within every silence."""
        if self._socket.gettimeout() != self._silence:
            self._socket.settimeout(self._silence)
        left = memoryview(data)
        while left:
            left = left[self._socket.send(left) :]

    def __getattr__(self, name: str) -> Any:
        """Be the socket otherwise."""
        return getattr(self._socket, name)


class _Watched(io.RawIOBase):
    """One answer as it comes; only time spent waiting counts, and none before its first byte: servers may think."""

    def __init__(self, raw: io.RawIOBase, silence: float) -> None:
        super().__init__()
        self._raw, self._silence = raw, silence
        self._began = False
        self._waited, self._came = 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        began = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - began if self._began else 0.0
        self._came += count or 0
        self._began = True
        if self._waited >= self._silence and count:
            if self._came < SLOWEST * self._waited:
                raise TooSlowError(f"{self._came} bytes in {self._waited:.0f} seconds")
            self._waited, self._came = 0.0, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
