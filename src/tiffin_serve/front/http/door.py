"""Where clients come in: a listening socket, TCP or Unix, and a way to close it without losing who waits outside."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from tiffin_serve.front.http.connection import Connection
from tiffin_serve.front.http.desk import Desk

BACKLOG = 1024


class Door:
    """Lets clients in to a desk."""

    def __init__(self, desk: Desk, bound: socket.socket) -> None:
        self._desk = desk
        self._bound = bound
        self._server: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        """Accept clients from now on."""
        loop = asyncio.get_running_loop()
        if self._bound.family == socket.AF_UNIX:
            self._server = await loop.create_unix_server(self._greet, sock=self._bound, backlog=BACKLOG)
        else:
            self._server = await loop.create_server(self._greet, sock=self._bound, backlog=BACKLOG)

    async def close(self) -> None:
        """Let in who has connected already, since closing the socket would reset them, and then nobody."""
        server, self._server = self._server, None
        if server is None:
            return
        loop = asyncio.get_running_loop()
        with self._bound.dup() as again:
            server.close()
            again.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(BACKLOG):
                    client, _ = again.accept()
                    client.setblocking(False)
                    await loop.connect_accepted_socket(self._greet, client)

    def _greet(self) -> Connection:
        return Connection(self._desk)
