"""The gRPC port from start to end. grpcio is imported in a thread, while the model loads, and not at all without it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiffin_serve.front.log import say
from tiffin_serve.front.rpc.relay import Relay
from tiffin_serve.front.rpc.switch import Switch

QUIET_SECONDS = 0.5
LAST_SECONDS = 1


class RpcDoor:
    """Answers gRPC on a listening socket; `failed` is told when that cannot be."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        switch: Switch,
        listener: socket.socket,
        failed: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._switch = switch
        self._listener = listener
        self._failed = failed
        self._folder = Path(tempfile.mkdtemp(prefix="tiffin-", dir="/tmp"))
        self._relay = Relay(self._loop, str(self._folder / "grpc.sock"))
        self._readiness: Any = None
        self._calls: Any = None
        self._server: Any = None
        self._starting: asyncio.Task[None] | None = None
        self._draining = False

    # --- the beginning

    def open(self) -> None:
        """Begin; clients that connect before grpcio is there wait in the socket's queue."""
        served = self._switch.main({})
        if served.service.serve.auth != "none" and served.accept is None:
            self._failed("gRPC cannot be answered: there are no tokens to ask for")
            return
        threading.Thread(target=self._import, name="grpc import").start()

    def _import(self) -> None:
        try:
            from tiffin_serve.front.rpc import listening  # noqa: PLC0415 - heavy, and in no image without gRPC
        except ImportError as error:
            self._tell(self._failed, f"gRPC cannot be answered: {error}")
        else:
            self._tell(self._start, listening)

    def _tell(self, whom: Callable[[Any], None], what: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(whom, what)

    def _start(self, listening: Any) -> None:
        self._starting = self._loop.create_task(self._listen(listening))

    async def _listen(self, listening: Any) -> None:
        switch = self._switch
        self._readiness = listening.Readiness(lambda: switch.ready and not self._draining)
        self._calls = listening.Calls()
        handlers = listening.handlers(self._loop, switch, self._readiness, self._calls)
        self._server = await listening.listen(f"unix:{self._relay.path}", handlers, switch.most_bytes)
        await self._relay.open(self._listener)
        name = self._listener.getsockname()
        say(f"gRPC on port {name[1]}" if isinstance(name, tuple) else f"gRPC on unix:{name}")

    def look(self) -> None:
        """Look whether requests are answered, for those who watch it."""
        if self._readiness is not None:
            self._readiness.look()

    # --- the end

    def drain(self) -> None:
        """Be not ready, and send whoever is connected to another server, or to a new connection."""
        self._draining = True
        self.look()
        self._relay.dismiss()

    async def leave(self, seconds: float) -> None:
        """Accept nobody any more, and finish what is in flight within so many seconds.

        Nothing is in flight when everyone has hung up, or when no call is open and nothing has been heard for a moment.
        """
        if self._readiness is not None:
            self._readiness.leave()
        self._relay.close()
        self._relay.dismiss()
        deadline, heard, since = self._loop.time() + seconds, -1, 0.0
        while self._relay.connections and self._loop.time() < deadline:
            if heard != self._relay.chunks or (self._calls is not None and self._calls.in_flight):
                heard, since = self._relay.chunks, self._loop.time()
            elif self._loop.time() - since > QUIET_SECONDS:
                break
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Stop now."""
        self._relay.close()
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
        if self._server is not None:
            await asyncio.wait_for(self._server.stop(0), LAST_SECONDS)
        self._relay.abort()
        shutil.rmtree(self._folder, ignore_errors=True)
