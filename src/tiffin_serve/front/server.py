"""One front from start to end: listen, keep its worker alive, and leave as a lame duck."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket

import msgspec
import uvloop

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.http.access import AccessLog
from tiffin_serve.front.http.bearer import Guard, Tokens
from tiffin_serve.front.http.compression import Compression
from tiffin_serve.front.http.cors import Cors
from tiffin_serve.front.http.desk import Desk
from tiffin_serve.front.http.door import Door
from tiffin_serve.front.http.limits import Limits
from tiffin_serve.front.log import Writer, begin_writing, end_writing, say
from tiffin_serve.front.metrics.counters import Limits as Bounds
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.rest.routes import Api
from tiffin_serve.front.rest.scraping import MetricsApi
from tiffin_serve.front.rpc.door import RpcDoor
from tiffin_serve.front.rpc.door import Served as RpcServed
from tiffin_serve.front.sockets import address, allow_many
from tiffin_serve.front.workers.child import Children
from tiffin_serve.front.workers.crew import LOAD_FAILED, Crew, nobody
from tiffin_serve.front.workers.lines import WorkerLine
from tiffin_serve.protocol.service import Service

STOPPED_NOW = 128 + signal.SIGTERM
GRACE_SECONDS = 30
ECHO_SECONDS = 0.2
FRESH_SECONDS = 0.5


class Outfit(msgspec.Struct, frozen=True, kw_only=True):
    """What a front starts with; without `children` others start its workers, without `tokens` all may ask.

    One that is `patient` lets clients in when its first worker is ready; until then they wait outside, at a socket that
    another front may be serving.
    """

    service: Service
    http: socket.socket
    metrics: socket.socket | None
    grpc: socket.socket | None = None
    hall: socket.socket
    token: str
    children: Children | None
    tokens: Tokens | None = None
    patient: bool = False


def run(outfit: Outfit) -> int:
    """Serve until told to stop; returns the exit status."""
    allow_many()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    writer = begin_writing()
    try:
        return loop.run_until_complete(Front(outfit, loop, writer).serve())
    finally:
        end_writing()
        # The end is decided; closing the loop gives signals their default back, and one more would change the status.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        loop.close()


class Front:
    """Ties listeners, workers and the worker process together."""

    def __init__(self, outfit: Outfit, loop: asyncio.AbstractEventLoop, writer: Writer) -> None:
        service = outfit.service
        self._outfit = outfit
        self._loop = loop
        bounds = Bounds(service.serve.deadline_ms / 1000, service.serve.queue)
        self._metrics = Metrics(service.name, service.version, os.environ.get("TIFFIN_IMAGE", ""), bounds)
        if service.baseline:
            self._metrics.drift.compare_with(service.baseline)
        dispatcher = Dispatcher(loop, service.serve, self._metrics)
        self._crew = Crew(service, outfit.children, outfit.token, dispatcher, loop, self._finish)
        self._workers = self._crew.workers
        self._api = Api(service, self._workers, self._metrics)
        self._desk = self._make_desk(writer)
        self._desk.answered = self._metrics.answered
        self._metrics_desk = Desk(MetricsApi(self._metrics, self._workers, self._desk).serve, Limits(body_bytes=1024))
        self._door = Door(self._desk, outfit.http)
        self._rpc = self._make_rpc(outfit.grpc) if outfit.grpc is not None else None
        self._stopping: asyncio.Task[None] | None = None
        self._stopped_at = 0.0
        self._end: asyncio.Future[int] = loop.create_future()

    def _make_desk(self, writer: Writer) -> Desk:
        """Put before the routes whatever the service asks for; raises ValueError."""
        service, outfit = self._outfit.service, self._outfit
        serve, dress = self._api.serve, None
        if outfit.tokens is not None:
            serve = Guard(serve, outfit.tokens).serve
        if service.serve.cors:
            cors = Cors(serve, service.serve.cors)
            serve, dress = cors.serve, cors.dress
        if service.serve.compress:
            serve = Compression(serve, self._loop).serve
        log = AccessLog(self._loop, writer, service.name) if service.serve.access_log else None
        limits = Limits.of(service.serve.max_body_bytes, service.serve.header_seconds)
        return Desk(serve, limits, dress=dress, log=log)

    def _make_rpc(self, listener: socket.socket) -> RpcDoor:
        tokens = self._outfit.tokens
        served = RpcServed(
            service=self._outfit.service,
            workers=self._workers,
            metrics=self._metrics,
            accept=tokens.accept if tokens is not None else None,
        )
        return RpcDoor(self._loop, served, listener, lambda why: self._finish(LOAD_FAILED, why))

    async def serve(self) -> int:
        """Serve until told to stop; returns the exit status."""
        await self._listen()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_stop)
        self._crew.begin()
        self._tick()
        gc.collect()
        gc.freeze()
        try:
            return await self._end
        finally:
            if self._rpc is not None:
                await self._rpc.close()
            await self._crew.stop()
            if self._desk.log is not None:
                self._desk.log.flush()

    async def _listen(self) -> None:
        """Let in workers, clients and scrapers."""
        outfit, loop = self._outfit, self._loop
        hall = await loop.create_unix_server(lambda: WorkerLine(self._workers, loop), sock=outfit.hall)
        self._open = [hall]  # a server that nobody refers to is closed
        if outfit.patient:
            self._crew.changed = self._open_once
        else:
            await self._door.open()
        if outfit.metrics is not None:
            self._scraped = Door(self._metrics_desk, outfit.metrics)
            await self._scraped.open()
            say(f"metrics at {address(outfit.metrics)}/metrics")
        say(f"listening on {address(outfit.http)}")
        if self._rpc is not None:
            self._rpc.open()
            self._crew.changed = self._rpc.look

    def _open_once(self) -> None:
        """Let clients in, now that there is somebody to answer them."""
        self._crew.changed = nobody
        if self._stopping is None:
            self._opening = self._loop.create_task(self._door.open())

    # --- the end

    def _on_stop(self) -> None:
        """Drain; a second signal means now, unless it is the first one's echo to the process group."""
        if self._stopping is not None and self._loop.time() - self._stopped_at < ECHO_SECONDS:
            return
        if self._stopping is not None:
            self._crew.stop_now()
            self._finish(STOPPED_NOW, "")
            return
        self._stopped_at = self._loop.time()
        self._stopping = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        """Be not ready at once, keep accepting for a while, finish what is in flight, go (lame duck)."""
        self._api.draining = self._desk.draining = True
        if self._rpc is not None:
            self._rpc.drain()
        if self._workers.ready:
            await asyncio.sleep(self._outfit.service.serve.drain_seconds)
        await self._door.close()
        closed = self._loop.time()
        left = self._loop.create_task(self._rpc.leave(GRACE_SECONDS)) if self._rpc is not None else None
        while True:
            passed = self._loop.time() - closed
            self._desk.close_idle(spare_fresh=passed < FRESH_SECONDS)
            if not self._desk.connections or passed > GRACE_SECONDS:
                break
            await asyncio.sleep(0.01)
        if left is not None:
            await left
        self._finish(0, "")

    def _finish(self, status: int, sentence: str) -> None:
        if not self._end.done():
            if sentence:
                say(sentence)
            self._end.set_result(status)

    # --- time and numbers

    def _tick(self) -> None:
        self._desk.tick()
        self._metrics_desk.tick()
        self._metrics.drift.digest()
        if self._rpc is not None:
            self._rpc.look()
        self._loop.call_later(1, self._tick)
