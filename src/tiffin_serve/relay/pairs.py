"""A connection from outside and the one to a replica that it is carried over: bytes go on as they come.

Each way is read only as fast as the other end takes it, an end is passed on for each way by itself, and a reset as one.
Bytes are changed in one case: an answer of HTTP/1.1 on a connection that is to finish says so (`parted`).
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol, cast

HELD = 1 << 16
"""Bytes that are read of a connection that waits for a replica, so that one that leaves is noticed."""


_ANSWER, _INTERIM = b"HTTP/1.1 ", b"HTTP/1.1 1"
_PARTING = b"connection: close\r\n"


def parted(answer: bytes) -> bytes:
    """Say at the beginning of an answer of HTTP/1.1 that it is the last on its connection (RFC 9112, section 9.6).

    The client then asks elsewhere, where closing a connection that is kept could meet its next request.
    """
    end = answer.find(b"\r\n") + 2
    if end < len(_ANSWER) or not answer.startswith(_ANSWER) or answer.startswith(_INTERIM):
        return answer
    return answer[:end] + _PARTING + answer[end:]


class Books(Protocol):
    """Who is told what becomes of a pair."""

    def arrived(self, pair: Pair) -> None:
        """Somebody has connected, and has to be led somewhere."""
        ...

    def answered(self, pair: Pair, seconds: float) -> None:
        """A replica said something after somebody had asked."""
        ...

    def left(self, pair: Pair, *, failed: bool) -> None:
        """It is over; `failed` says that a question was never answered since the replica was lost."""
        ...


class Pair:
    """Both ends; `revision` and `replica` say where it leads, and are empty while it waits."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.outer = Outer(self)
        self.inner: Inner | None = None
        self.revision = self.replica = ""
        self.last = 0.0
        """When something last passed, of the monotonic clock."""
        self.asked = 0.0
        """Since when an answer is owed, 0 where none is."""
        self.over = False
        self.parting = False
        """It is to finish."""
        self.speaks_http = False

    def arrive(self) -> None:
        """Somebody has connected."""
        self.last = time.monotonic()
        self._books.arrived(self)

    async def connect(self, host: str, port: int, seconds: float) -> bool:
        """Connect to a replica and carry on from there; says whether one accepted."""
        loop = asyncio.get_running_loop()
        inner = Inner(self)
        try:
            await asyncio.wait_for(loop.create_connection(lambda: inner, host, port), seconds)
        except (OSError, TimeoutError):
            return False
        if self.over:
            inner.transport.abort()
            return True
        self.inner = inner
        self.outer.begin(inner)
        return True

    def heard(self, *, outside: bool) -> None:
        """Something passed, from outside or from the replica."""
        self.last = now = time.monotonic()
        if outside:
            self.asked = self.asked or now
        elif self.asked:
            self._books.answered(self, now - self.asked)
            self.asked = 0.0

    def end(self, *, abort: bool = False, lost: bool = False) -> None:
        """Let both ends go, with what was written to them or, if `abort`, at once; `lost`: the replica left first."""
        if self.over:
            return
        self.over = True
        for end in (self.outer, self.inner):
            if end is not None and end.transport is not None:
                if abort:
                    end.transport.abort()
                else:
                    end.transport.close()
        self._books.left(self, failed=lost and bool(self.asked))

    def half(self) -> None:
        """One way has ended; when both have, it is over."""
        if self.inner is not None and self.outer.ended and self.inner.ended:
            self.end()


class End(asyncio.Protocol):
    """One end of a pair."""

    transport: asyncio.Transport
    outside = False

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.ended = False
        """Nothing more will be read of it."""
        self.transport = cast("asyncio.Transport", None)  # until it is connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is connected."""
        self.transport = cast("asyncio.Transport", transport)

    def other(self) -> End | None:
        """The end that what is read here is written to."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Write on what was read."""
        self.pair.heard(outside=self.outside)
        other = self.other()
        if other is not None and not self.pair.over:
            other.transport.write(data)

    def eof_received(self) -> bool:
        """Pass the end on; the other way goes on."""
        self.ended = True
        other = self.other()
        if other is not None and not self.pair.over:
            other.transport.write_eof()
        self.pair.half()
        return not self.pair.over

    def pause_writing(self) -> None:
        """Too much waits to be written here: read no more there."""
        other = self.other()
        if other is not None and not self.pair.over:
            other.transport.pause_reading()

    def resume_writing(self) -> None:
        """There is room again."""
        other = self.other()
        if other is not None and not self.pair.over:
            other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and so is the other end."""
        self.pair.end(abort=exc is not None, lost=not self.outside)


class Outer(End):
    """The end that somebody outside connected to; what comes before there is a replica is held."""

    outside = True

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._held = bytearray()
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        super().connection_made(transport)
        self.pair.arrive()

    def other(self) -> End | None:
        """The replica's end, where there is one."""
        return self.pair.inner

    def data_received(self, data: bytes) -> None:
        """Write it on, or hold it until there is somebody to write it to."""
        if self.pair.inner is not None:
            super().data_received(data)
            return
        self.pair.heard(outside=True)
        self._held += data
        if len(self._held) >= HELD and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def begin(self, inner: Inner) -> None:
        """Write what was held."""
        if self._held:
            inner.transport.write(bytes(self._held))
            self._held.clear()
        if self.ended:
            inner.transport.write_eof()
        if self._paused:
            self._paused = False
            self.transport.resume_reading()


class Inner(End):
    """The end at a replica."""

    def data_received(self, data: bytes) -> None:
        """Write on what was read; where it begins an answer, and the connection is to finish, with a word of that."""
        pair = self.pair
        if pair.asked:
            pair.speaks_http = data.startswith(_ANSWER)
            if pair.parting:
                data = parted(data)
        super().data_received(data)

    def other(self) -> End | None:
        """The end outside."""
        return self.pair.outer

    def connection_lost(self, exc: Exception | None) -> None:
        """The replica has let go, or was lost."""
        if self.pair.inner is self:
            super().connection_lost(exc)
