"""One front from start to end: listen, keep its worker alive, and leave as a lame duck."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket

import msgspec
import uvloop

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.http.connection import Connection, Desk, Limits
from tiffin_serve.front.log import say
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.rest.routes import Api, MetricsApi
from tiffin_serve.front.sockets import address
from tiffin_serve.front.workers.child import Children
from tiffin_serve.front.workers.crew import Crew
from tiffin_serve.front.workers.lines import WorkerLine
from tiffin_serve.protocol.service import Service

STOPPED_NOW = 128 + signal.SIGTERM
GRACE_SECONDS = 30
ECHO_SECONDS = 0.2


class Outfit(msgspec.Struct, frozen=True, kw_only=True):
    """What a front starts with; without `children` it waits for workers that others start."""

    service: Service
    http: socket.socket
    metrics: socket.socket | None
    hall: socket.socket
    token: str
    children: Children | None


def run(outfit: Outfit) -> int:
    """Serve until told to stop; returns the exit status."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(Front(outfit, loop).serve())
    finally:
        # The end is decided; closing the loop gives signals their default back, and one more would change the status.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        loop.close()


class Front:
    """Ties listeners, workers and the worker process together."""

    def __init__(self, outfit: Outfit, loop: asyncio.AbstractEventLoop) -> None:
        service = outfit.service
        self._outfit = outfit
        self._loop = loop
        self._metrics = Metrics(service.name)
        dispatcher = Dispatcher(loop, service.serve, self._metrics)
        self._crew = Crew(service, outfit.children, outfit.token, dispatcher, loop, self._finish)
        self._workers = self._crew.workers
        self._api = Api(service, self._workers)
        limits = Limits(body_bytes=service.serve.max_body_bytes, header_seconds=service.serve.header_seconds)
        self._desk = Desk(self._api.serve, limits)
        self._desk.answered = self._count
        self._metrics_desk = Desk(MetricsApi(self._metrics, self._workers, self._desk).serve, Limits(body_bytes=1024))
        self._stopping: asyncio.Task[None] | None = None
        self._stopped_at = 0.0
        self._end: asyncio.Future[int] = loop.create_future()

    async def serve(self) -> int:
        """Serve until told to stop; returns the exit status."""
        outfit, loop = self._outfit, self._loop
        hall = await loop.create_unix_server(lambda: WorkerLine(self._workers, loop), sock=outfit.hall)
        listener = await loop.create_server(lambda: Connection(self._desk), sock=outfit.http, backlog=1024)
        self._doors = [hall, listener]  # one that nobody refers to is closed
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        if outfit.metrics is not None:
            scraped = await loop.create_server(lambda: Connection(self._metrics_desk), sock=outfit.metrics)
            self._doors.append(scraped)
            say(f"metrics at http://{address(outfit.metrics)}/metrics")
        say(f"listening on http://{address(outfit.http)}")
        self._crew.begin()
        self._tick()
        gc.collect()
        gc.freeze()
        try:
            return await self._end
        finally:
            await self._crew.stop()

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
        if self._workers.ready:
            await asyncio.sleep(self._outfit.service.serve.drain_seconds)
        self._doors[1].close()
        deadline = self._loop.time() + GRACE_SECONDS
        self._desk.close_idle()
        while self._desk.connections and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
            self._desk.close_idle()
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
        self._workers.dispatcher.expire()
        self._loop.call_later(1, self._tick)

    def _count(self, status: int) -> None:
        self._metrics.codes[status] += 1
