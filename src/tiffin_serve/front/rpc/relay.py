"""From the public socket to grpcio's private one, and back.

grpcio binds sockets of its own and cannot be given one that listens already, so bytes are relayed. That also lets the
port be open before grpcio is imported, and lets a connection be told to go (HTTP/2's GOAWAY, RFC 9113, section 6.8)
while its server still takes what is on its way: grpcio's own way to stop refuses what arrives in that moment.
"""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from tiffin_serve.front.log import report

HEAD = 9
HEADERS, PUSH_PROMISE, CONTINUATION = 1, 5, 9
END_HEADERS = 4
GOAWAY = bytes([0, 0, 8, 7, 0, 0, 0, 0, 0]) + (2**31 - 1).to_bytes(4, "big") + bytes(4)
"""Open no more streams; none is refused yet, and nothing is wrong."""


class Frames:
    """Follows HTTP/2 frames as they pass (RFC 9113, section 4.1): between two of them one more may be put."""

    __slots__ = ("_head", "_open", "_skip", "between")

    def __init__(self) -> None:
        self._head = b""
        self._skip = 0
        self._open = False
        self.between = False

    def feed(self, data: bytes) -> None:
        """Follow what has passed; a header block is not to be parted, however many frames it takes."""
        if self._head:
            data = self._head + data
        position, end = self._skip, len(data)
        while position + HEAD <= end:
            if data[position + 3] in {HEADERS, PUSH_PROMISE, CONTINUATION}:
                self._open = not data[position + 4] & END_HEADERS
            position += HEAD + int.from_bytes(data[position : position + 3], "big")
        self._head = data[position:] if position < end else b""
        self._skip = max(position - end, 0)
        self.between = position == end and not self._open


class Relay:
    """Accepts on the public socket and joins each connection with one to the private socket at `path`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str) -> None:
        self.loop = loop
        self.path = path
        self.connections: set[Caller] = set()
        self.chunks = 0
        self.closed = False
        self._door: asyncio.Server | None = None

    async def open(self, listener: socket.socket) -> None:
        """Begin to accept."""
        self._door = await self.loop.create_server(lambda: Caller(self), sock=listener, backlog=1024)

    def close(self) -> None:
        """Accept nobody any more; who is connected stays, and who was accepted a moment ago is told to go."""
        self.closed = True
        if self._door is not None:
            self._door.close()

    def dismiss(self) -> None:
        """Ask everyone who is connected to open no more streams here, and to go when theirs have ended."""
        for caller in tuple(self.connections):
            caller.dismiss()

    def abort(self) -> None:
        """Hang up on everyone."""
        for caller in tuple(self.connections):
            caller.abort()


class End(asyncio.Protocol):
    """One end of a relayed connection; it stops reading while the other end cannot be written to."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # what stream servers and connections make

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other end when what it was sent has left."""
        del exc
        self.transport = None
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()
        self.other = None

    def pause_writing(self) -> None:
        """Let the other end wait."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let the other end go on."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()


class Caller(End):
    """The client's end."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay
        self._frames = Frames()
        self._dismissed = False
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Call grpcio."""
        super().connection_made(transport)
        self._dismissed = self._relay.closed  # accepted before, and told of it only now
        self._relay.connections.add(self)
        self._relay.loop.create_task(self._join())

    async def _join(self) -> None:
        try:
            made, server = await self._relay.loop.create_unix_connection(lambda: Server(self), self._relay.path)
        except OSError as error:
            report("a gRPC connection could not be relayed", error=str(error))
            self.abort()
            return
        if self.transport is None or server.transport is None:
            made.close()
            self.abort()
            return
        self.other = server
        if self._early:
            server.transport.write(b"".join(self._early))
            self._early.clear()
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Be forgotten."""
        self._relay.connections.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what the client says, or keep it for the moment until grpcio has taken the call."""
        self._relay.chunks += 1
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        elif self.transport is not None:
            self._early.append(data)
            self.transport.pause_reading()

    def send(self, data: bytes) -> None:
        """Pass on what the server says, and a GOAWAY that is due."""
        if self.transport is not None:
            self._frames.feed(data)
            self.transport.write(data)
            if self._dismissed:
                self.dismiss()

    def dismiss(self) -> None:
        """Send a GOAWAY, now or between the next two frames."""
        self._dismissed = not self._frames.between
        if self._frames.between and self.transport is not None and not self.transport.is_closing():
            self.transport.write(GOAWAY)

    def abort(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.abort()


class Server(End):
    """grpcio's end; it may speak before its connection is known to be there."""

    def __init__(self, caller: Caller) -> None:
        super().__init__()
        self.other = caller

    def data_received(self, data: bytes) -> None:
        """Pass on what the server says."""
        if isinstance(self.other, Caller):
            self.other.send(data)
