"""Where clients come in: a listening socket, TCP or Unix, and a way to close it without losing who waits outside."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from tiffin_serve.front.http.connection import Connection
from tiffin_serve.front.http.desk import Desk

BACKLOG = 1024


class Door:
    """Lets clients in to a desk, by every socket that it has."""

    def __init__(self, desk: Desk, *bound: socket.socket) -> None:
        self._desk = desk
        self._bound = bound
        self._servers: list[asyncio.AbstractServer] = []

    async def open(self) -> None:
        """Accept clients from now on."""
        loop = asyncio.get_running_loop()
        for bound in self._bound:
            make = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
            self._servers.append(await make(self._greet, sock=bound, backlog=BACKLOG))

    async def close(self) -> None:
        """Let in who has connected already, since closing the socket would reset them, and then nobody."""
        servers, self._servers = self._servers, []
        for server, bound in zip(servers, self._bound, strict=False):
            await self._shut(server, bound)

    async def _shut(self, server: asyncio.AbstractServer, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with bound.dup() as again:
            server.close()
            again.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(BACKLOG):
                    client, _ = again.accept()
                    client.setblocking(False)
                    await loop.connect_accepted_socket(self._greet, client)

    def _greet(self) -> Connection:
        return Connection(self._desk)
