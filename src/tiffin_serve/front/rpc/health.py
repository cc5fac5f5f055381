"""gRPC's health checking protocol (spec/health.proto), and who else wants to know whether the server is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from tiffin_serve.front.rpc.health_pb2 import HealthCheckRequest, HealthCheckResponse
from tiffin_serve.front.rpc.requests import parse
from tiffin_serve.protocol.errors import RequestError

SERVICE = "grpc.health.v1.Health"


class Readiness:
    """Whether requests are answered, for those who wait for it to change."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self._ready = ready
        self._changed = asyncio.Event()
        self.now = ready()
        self.leaving = False

    def look(self) -> None:
        """Look again, and wake those who wait if it has changed."""
        if self.now != self._ready():
            self.now = not self.now
            self._wake()

    def leave(self) -> None:
        """Let those go who wait for changes: there will be none."""
        self.leaving = True
        self._wake()

    async def change(self) -> None:
        """Wait until it changes."""
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Health:
    """Answers balancers and probes: for the server (an empty name), its inference service, or its model by name."""

    def __init__(self, readiness: Readiness, names: frozenset[str]) -> None:
        self._readiness = readiness
        self._names = names

    async def check(self, data: bytes) -> HealthCheckResponse:
        """Say how it is; raises RequestError for a name that nobody has."""
        name = parse(HealthCheckRequest, data).service
        if name not in self._names:
            raise RequestError(f"there is no service '{name}' here", 404)
        return HealthCheckResponse(status=self._status(name))

    async def watch(self, data: bytes) -> AsyncIterator[HealthCheckResponse]:
        """Say how it is, and then whenever that changes; a name that nobody has is unknown and stays so."""
        name = parse(HealthCheckRequest, data).service
        said = None
        while True:
            status = self._status(name)
            if status != said:
                said = status
                yield HealthCheckResponse(status=status)
            elif self._readiness.leaving:
                return
            else:
                await self._readiness.change()

    def _status(self, name: str) -> HealthCheckResponse.ServingStatus:
        if name not in self._names:
            return HealthCheckResponse.SERVICE_UNKNOWN
        return HealthCheckResponse.SERVING if self._readiness.now else HealthCheckResponse.NOT_SERVING
