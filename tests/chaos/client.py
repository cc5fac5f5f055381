"""One client process: asks at a steady pace over kept and new connections, checks every answer, keeps exact account.

A program: `python client.py ORDER`, ORDER in JSON (see `load.Order`). It ends when its standard input does, then writes
what became of each request beside the counters that it keeps in shared memory for whoever watches.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import random
import select
import socket
import struct
import sys
import time
from array import array
from collections import Counter
from pathlib import Path
from typing import Any

COUNTERS = struct.Struct("=4q")
"""Sent, answered as expected, failed, refused."""
FAILURES = 10_000
"""So many failures are kept with their texts, which is more than anybody wants to see."""
LONGEST = 40
"""A connection is kept for at most so many requests; one in four is for one."""
HEAD = (
    "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "x-request-id: {id}\r\nContent-Length: {length}\r\n{more}\r\n"
)


class BrokenError(Exception):
    """The connection ended before the answer did."""


class WrongError(Exception):
    """An answer came, and is not what was asked for."""


class Connection:
    """One connection; requests go over it one after the other."""

    def __init__(self, port: int, kept: int) -> None:
        self.port, self.left = port, kept
        self.opened = 0.0
        self._buffer = bytearray()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def open(self) -> None:
        """Connect; raises OSError."""
        await asyncio.get_running_loop().sock_connect(self._socket, ("127.0.0.1", self.port))
        self.opened = time.monotonic()

    @property
    def stale(self) -> bool:
        """Whether the other side has closed it: whoever keeps connections looks before asking, as pools do."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request and read its answer; raises OSError, BrokenError."""
        await asyncio.get_running_loop().sock_sendall(self._socket, request)
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self._more()
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = end + 4 + int(headers.get("content-length", "0"))
        while len(self._buffer) < size:
            await self._more()
        body = bytes(self._buffer[end + 4 : size])
        del self._buffer[:size]
        if headers.get("connection") == "close":
            self.left = 0
        return int(first.split(" ")[1]), headers, body

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()

    async def _more(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._socket, 65_536)
        if not data:
            raise BrokenError(f"closed after {len(self._buffer)} bytes of an answer")
        self._buffer += data


class Client:
    """Everything one process asks, and its account."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._dice = random.Random(order["seed"])  # noqa: S311 - to be had again
        self._number = self.sent = self.answered = self.failed = self.refused = 0
        self._times = array("d")
        self._revisions: Counter[str] = Counter()
        self._failures: list[dict[str, Any]] = []
        self._ending = False
        with Path(order["counters"]).open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), COUNTERS.size)

    async def run(self) -> None:
        """Ask until the standard input ends."""
        period = self._order["connections"] / self._order["rate"]
        tasks = [asyncio.create_task(self._ask_on(period)) for _ in range(self._order["connections"])]
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), ended.set)
        await ended.wait()
        loop.remove_reader(sys.stdin.fileno())
        self._ending = True
        await asyncio.gather(*tasks)

    def tell(self) -> None:
        """Write the account."""
        document = {
            "sent": self.sent,
            "answered": self.answered,
            "failed": self.failed,
            "refused": self.refused,
            "revisions": dict(self._revisions),
            "failures": self._failures,
        }
        Path(self._order["account"]).write_text(json.dumps(document))
        Path(self._order["times"]).write_bytes(self._times.tobytes())

    async def _ask_on(self, period: float) -> None:
        """Ask one request after the other, not faster than the pace, on connections that are kept and renewed."""
        connection: Connection | None = None
        due = time.monotonic() + self._dice.uniform(0.0, period)
        while not self._ending:
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            due = max(due + period, time.monotonic())
            if connection and (connection.left <= 0 or connection.stale):
                connection.close()
                connection = None
            connection = await self._ask_once(connection)
            self._share()
        if connection:
            connection.close()

    async def _ask_once(self, connection: Connection | None) -> Connection | None:
        """Ask one request; gives the connection where it can be kept."""
        self._number += 1
        self.sent += 1
        name, begun = f"{self._order['name']}-{self._number}", time.monotonic()
        try:
            async with asyncio.timeout(self._order["patience"]):
                if connection is None:
                    kept = 1 if self._dice.random() < 0.25 else self._dice.randint(2, LONGEST)
                    connection = Connection(self._order["port"], kept)
                    await connection.open()
                await self._exchange(connection, name)
        except ConnectionRefusedError as error:
            self.refused += 1
            self._fail("refused", error, name, begun, connection)
        except (OSError, BrokenError, WrongError, TimeoutError, ValueError, KeyError) as error:
            self.failed += 1
            self._fail(type(error).__name__, error, name, begun, connection)
        else:
            self.answered += 1
            self._times.extend((begun, time.monotonic() - begun))
            return connection
        if connection:
            connection.close()
        return None

    async def _exchange(self, connection: Connection, name: str) -> None:
        """Ask on a connection; raises what is wrong with the answer."""
        connection.left -= 1
        value = float(self._dice.randint(0, 1 << 40))
        body = json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [value, value + 1]}]})
        more = "" if connection.left > 0 else "Connection: close\r\n"
        head = HEAD.format(path=self._order["path"], id=name, length=len(body), more=more)
        status, headers, answer = await connection.ask(f"{head}{body}".encode())
        if status != 200:
            raise WrongError(f"{status}: {answer[:300]!r}")
        data = json.loads(answer)["outputs"][0]["data"]
        if data != [2 * value, 2 * value + 2] or headers.get("x-request-id") != name:
            raise WrongError(f"asked {name} for {value}, and {headers.get('x-request-id')} got {answer[:300]!r}")
        self._revisions[headers.get("tiffin-revision", "")] += 1

    def _fail(self, kind: str, error: Exception, name: str, begun: float, connection: Connection | None) -> None:
        if len(self._failures) < FAILURES:
            opened = connection.opened if connection else 0.0
            told = {"kind": kind, "text": str(error), "request": name, "sent": begun, "opened": opened}
            self._failures.append({**told, "ended": time.monotonic()})

    def _share(self) -> None:
        COUNTERS.pack_into(self._shared, 0, self.sent, self.answered, self.failed, self.refused)


def main() -> None:
    """Ask as ordered, and tell what came of it."""
    client = Client(json.loads(sys.argv[1]))
    asyncio.run(client.run())
    client.tell()


if __name__ == "__main__":
    main()
