"""A connection that was accepted while the relay closed: it is told to go as those before it were."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from tiffin_serve.front.rpc.relay import GOAWAY, Caller, Relay

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
DEADLINE = 20.0


def test_who_was_accepted_while_the_relay_closed_is_told_to_go(tmp_path: Path) -> None:
    async def hear() -> bytes:
        loop, path = asyncio.get_running_loop(), str(tmp_path / "grpc.sock")

        left = asyncio.Event()

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(SETTINGS)
            await reader.read()
            writer.close()
            await writer.wait_closed()
            left.set()

        relay = Relay(loop, path)
        ours, theirs = socket.socketpair()
        async with await asyncio.start_unix_server(greet, path):
            relay.close()
            relay.dismiss()
            await loop.connect_accepted_socket(lambda: Caller(relay), theirs)
            reader, writer = await asyncio.open_connection(sock=ours)
            heard = await asyncio.wait_for(reader.readexactly(len(SETTINGS + GOAWAY)), DEADLINE)
            writer.close()
            await writer.wait_closed()
            await asyncio.wait_for(left.wait(), DEADLINE)
        return heard

    assert asyncio.run(hear()) == SETTINGS + GOAWAY
