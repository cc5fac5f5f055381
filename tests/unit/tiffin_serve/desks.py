"""A desk in this process, with a clock that a test moves, and clients beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import uvloop

from tiffin_serve.front.http.desk import Desk
from tiffin_serve.front.http.door import Door
from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.front.http.limits import Limits

DEADLINE = 30.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def until(condition: Callable[[], object], what: str) -> None:
    """Give the loop turns until a condition holds; fails at the deadline."""
    deadline = asyncio.get_running_loop().time() + DEADLINE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"never: {what}"
        await asyncio.sleep(0.001)


class Client:
    """A client in bytes, with small buffers, so that what it does not read is not in the kernel's."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)

    async def send(self, data: bytes) -> None:
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self._socket, data), DEADLINE)

    async def receive(self, most: int = 65536) -> bytes:
        """Read what is there; nothing at the end or after a reset."""
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, most), DEADLINE)
        except ConnectionResetError:
            return b""

    async def all(self) -> bytes:
        """Read to the end."""
        pieces = []
        while piece := await self.receive():
            pieces.append(piece)
        return b"".join(pieces)

    async def until(self, end: bytes) -> bytes:
        """Read until something has come."""
        found = bytearray()
        while not found.endswith(end):
            piece = await self.receive()
            assert piece, found
            found += piece
        return bytes(found)

    def finish(self) -> None:
        """End this side, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()


class Place:
    """A desk that is open."""

    def __init__(self, desk: Desk, port: int) -> None:
        self.desk = desk
        self._port = port
        self._clients: list[Client] = []

    async def client(self) -> Client:
        """Connect, and be known to the desk."""
        known = len(self.desk.connections)
        client = Client(self._port)
        self._clients.append(client)
        await until(lambda: len(self.desk.connections) > known, "connected")
        return client

    def wait(self, seconds: float) -> None:
        """Let time pass, second by second."""
        for _ in range(int(seconds)):
            self.desk.tick(self.desk.now + 1)

    def close(self) -> None:
        for client in self._clients:
            client.close()


Scenario = Callable[[Place], Awaitable[None]]


def at_desk(scenario: Scenario, serve: Callable[[Exchange], None], **limits: float) -> None:
    """Run a scenario at a desk that answers by a function."""

    async def play() -> None:
        bound = socket.create_server(("127.0.0.1", 0))
        desk = Desk(serve, Limits(**limits))  # type: ignore[arg-type]  # whole numbers are counts
        door = Door(desk, bound)
        await door.open()
        place = Place(desk, bound.getsockname()[1])
        try:
            await scenario(place)
        finally:
            place.close()
            await door.close()
            await until(lambda: not desk.connections, "everyone has gone")

    with contextlib.closing(uvloop.new_event_loop()) as loop:
        loop.run_until_complete(play())


def greet(exchange: Exchange) -> None:
    """Answer with what came."""
    exchange.answer(200, exchange.method + b" " + exchange.path + b"?" + exchange.query + b" " + exchange.body)
