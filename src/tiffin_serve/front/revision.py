"""What a front has of one model: its workers and their queue, its counters, its routes, and what stands before them."""

from __future__ import annotations

import asyncio
import socket

import msgspec

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.http.access import AccessLog
from tiffin_serve.front.http.bearer import Guard, Tokens
from tiffin_serve.front.http.compression import Compression
from tiffin_serve.front.http.cors import Cors
from tiffin_serve.front.http.limits import Limits
from tiffin_serve.front.log import Writer
from tiffin_serve.front.metrics.counters import Limits as Bounds
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.rest.routes import Api
from tiffin_serve.front.rpc.switch import Served as RpcServed
from tiffin_serve.front.workers.child import Children
from tiffin_serve.front.workers.crew import Crew, Finish
from tiffin_serve.front.workers.lines import WorkerLine
from tiffin_serve.protocol.service import Service


class Outfit(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is served with; without `children` others start its workers, without `tokens` all may ask.

    `number` is there where it is one of several revisions.
    """

    service: Service
    token: str
    image: str = ""
    children: Children | None = None
    tokens: Tokens | None = None
    number: str = ""


class Revision:
    """One model. `serve` answers a request that was read, `dress` adds what every answer has."""

    def __init__(self, outfit: Outfit, loop: asyncio.AbstractEventLoop, writer: Writer, finish: Finish) -> None:
        """Make everything; raises ValueError for what the service asks for and cannot have."""
        self.service = service = outfit.service
        self.tokens = outfit.tokens
        bounds = Bounds(service.serve.deadline_ms / 1000, service.serve.queue)
        self.metrics = Metrics(service.name, service.version, outfit.image, bounds)
        if service.baseline:
            self.metrics.drift.compare_with(service.baseline)
        self.dispatcher = Dispatcher(loop, service.serve, self.metrics)
        self.crew = Crew(service, outfit.children, outfit.token, self.dispatcher, loop, finish)
        self.workers = self.crew.workers
        self.api = Api(service, self.workers, self.metrics)
        self.log = AccessLog(loop, writer, service.name, outfit.number) if service.serve.access_log else None
        self.limits = Limits.of(service.serve.max_body_bytes, service.serve.header_seconds)
        self._loop = loop
        self._open: asyncio.AbstractServer | None = None
        self._closed = False
        self._put_before()

    def _put_before(self) -> None:
        """Put before the routes whatever the service asks for; raises ValueError."""
        self.serve, self.dress = self.api.serve, None
        if self.tokens is not None:
            self.serve = Guard(self.serve, self.tokens).serve
        if self.service.serve.cors:
            cors = Cors(self.serve, self.service.serve.cors)
            self.serve, self.dress = cors.serve, cors.dress
        if self.service.serve.compress:
            self.serve = Compression(self.serve, self._loop).serve

    @property
    def rpc(self) -> RpcServed:
        """Give what is asked by gRPC."""
        accept = self.tokens.accept if self.tokens is not None else None
        return RpcServed(service=self.service, workers=self.workers, metrics=self.metrics, accept=accept)

    async def listen(self, hall: socket.socket) -> None:
        """Let in workers, until it is closed: which may be before this has begun."""
        loop = self._loop
        self._open = await loop.create_unix_server(lambda: WorkerLine(self.workers, loop), sock=hall)
        if self._closed:
            self._open.close()

    def close(self) -> None:
        """Let in no worker any more."""
        self._closed = True
        if self._open is not None:
            self._open.close()
