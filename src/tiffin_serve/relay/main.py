"""The program: sockets from whoever started it, a table, a loop; it ends on SIGTERM when connections have finished."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from tiffin_serve.relay.admin import Admin
from tiffin_serve.relay.pairs import Pair
from tiffin_serve.relay.relay import Relay
from tiffin_serve.relay.table import Table, TableError, read

ADMIN = "metrics"
"""The socket of this name is the supervisor's; all others are public."""
FIRST = 3
"""The descriptor of the first socket that is handed on (sd_listen_fds(3))."""
BACKLOG = 4096


class Doors:
    """The public sockets: accepting or not. Closing a door leaves the socket, where who connects waits."""

    def __init__(self, listeners: Sequence[socket.socket]) -> None:
        self._listeners = listeners
        self._servers: list[asyncio.Server] = []
        self._wanted = False
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.relay: Relay | None = None

    def __call__(self, is_open: bool) -> None:  # noqa: FBT001 - a door is told one thing
        """Open or close them."""
        self._wanted = is_open
        task = asyncio.get_running_loop().create_task(self._move())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _move(self) -> None:
        async with self._turn:
            if self._wanted and not self._servers:
                loop = asyncio.get_running_loop()
                for listener in self._listeners:
                    server = await loop.create_server(self._pair, sock=listener.dup(), backlog=BACKLOG)
                    self._servers.append(server)
            elif not self._wanted and self._servers:
                for server in self._servers:
                    server.close()
                self._servers = []

    def _pair(self) -> asyncio.Protocol:
        assert self.relay  # noqa: S101 - it is there before any door is opened
        return Pair(self.relay).outer


def inherited(environment: dict[str, str]) -> dict[str, socket.socket]:
    """The sockets that were handed to this process, by name (sd_listen_fds(3))."""
    names = environment.get("LISTEN_FDNAMES", "").split(":")[: int(environment.get("LISTEN_FDS", "0"))]
    return {name: socket.socket(fileno=number) for number, name in enumerate(names, FIRST)}


async def serve(path: Path, table: Table, sockets: dict[str, socket.socket]) -> None:
    """Relay until told to end."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    doors = Doors([one for name, one in sockets.items() if name != ADMIN])
    doors.relay = relay = Relay(table, doors)
    asked = Admin(relay, path).serve
    server = await asyncio.start_unix_server(asked, sock=sockets[ADMIN]) if ADMIN in sockets else None
    await told.wait()
    await relay.end()
    if server:
        server.close()


def main(arguments: Sequence[str]) -> int:
    """Read the table and relay by it."""
    match list(arguments):
        case ["--table", name]:
            path = Path(name)
        case _:
            sys.stderr.write("usage: python -m tiffin_serve.relay --table table.json\n")
            return 2
    try:
        table = read(path)
    except TableError as error:
        sys.stderr.write(f"tiffin: {error}\n")
        return 2
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    uvloop.run(serve(path, table, inherited(dict(os.environ))))
    return 0
