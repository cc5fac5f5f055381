"""One front from start to end: listen, keep its worker alive, and leave as a lame duck."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import time

import msgspec
import uvloop

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.http.connection import Connection, Desk, Limits
from tiffin_serve.front.log import report, say
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.rest.routes import Api, MetricsApi
from tiffin_serve.front.rpc.door import RpcDoor, Served
from tiffin_serve.front.sockets import address
from tiffin_serve.front.workers.child import Child
from tiffin_serve.front.workers.lines import Events, WorkerLine, Workers
from tiffin_serve.protocol.frames import LoadError
from tiffin_serve.protocol.service import Service

LOAD_FAILED = 3
STOPPED_NOW = 128 + signal.SIGTERM
GRACE_SECONDS = 30
WORKER_SECONDS = 5
FIRST_BACKOFF_SECONDS = 0.1
LAST_BACKOFF_SECONDS = 10.0
HEALTHY_SECONDS = 10
ECHO_SECONDS = 0.2


class Outfit(msgspec.Struct, frozen=True, kw_only=True):
    """What a front starts with; without a `child` it waits for workers that others start."""

    service: Service
    http: socket.socket
    metrics: socket.socket | None
    grpc: socket.socket | None = None
    hall: socket.socket
    token: str
    child: Child | None


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
        events = Events(
            ready=self._on_ready, load_failed=self._on_load_failure, load=self._start_child, unload=self._let_child_go
        )
        self._workers = Workers(outfit.token, dispatcher, events)
        self._api = Api(service, self._workers)
        limits = Limits(body_bytes=service.serve.max_body_bytes, header_seconds=service.serve.header_seconds)
        self._desk = Desk(self._api.serve, limits)
        self._desk.answered = self._count
        self._metrics_desk = Desk(MetricsApi(self._metrics, self._workers, self._desk).serve, Limits(body_bytes=1024))
        self._rpc = self._grpc(outfit.grpc) if outfit.grpc is not None else None
        self._began = time.monotonic()
        self._ready_at = 0.0
        self._restarts = 0
        self._stopping: asyncio.Task[None] | None = None
        self._stopped_at = 0.0
        self._child_ended = asyncio.Event()
        self._end: asyncio.Future[int] = loop.create_future()

    def _grpc(self, listener: socket.socket) -> RpcDoor:
        served = Served(service=self._outfit.service, workers=self._workers, metrics=self._metrics)
        return RpcDoor(self._loop, served, listener, lambda why: self._finish(LOAD_FAILED, why))

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
        if self._rpc is not None:
            self._rpc.open()
        if outfit.child is not None:
            outfit.child.watch(self._hear_of_child_end)
            loop.call_later(outfit.service.serve.load_seconds, self._on_load_timeout)
        self._tick()
        gc.collect()
        gc.freeze()
        try:
            return await self._end
        finally:
            if self._rpc is not None:
                await self._rpc.close()
            await self._stop_child()

    # --- workers

    def _on_ready(self) -> None:
        if not self._ready_at:
            say(f"{self._outfit.service.name} is ready after {time.monotonic() - self._began:.2f} s")
        self._ready_at = time.monotonic()
        if self._rpc is not None:
            self._rpc.look()

    def _on_load_failure(self, error: LoadError) -> None:
        if self._outfit.child is None or self._ready_at:
            report("the model failed to load", error=error.message, traceback=error.traceback)
        else:
            self._finish(LOAD_FAILED, f"the model failed to load: {error.message}")

    def _on_load_timeout(self) -> None:
        if not self._ready_at and self._stopping is None:
            seconds = self._outfit.service.serve.load_seconds
            self._finish(LOAD_FAILED, f"the model failed to load: it took longer than {seconds:g} seconds")

    def _hear_of_child_end(self, code: int) -> None:
        """Carry the news from the reaper's thread to the loop, which may have ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._on_child_end, code)

    def _on_child_end(self, code: int) -> None:
        child = self._outfit.child
        if child is None:
            return
        child.forget()
        self._child_ended.set()
        how = f"signal {-code}" if code < 0 else f"status {code}"
        if self._end.done():
            return
        if self._workers.unloaded:
            return
        if not self._ready_at:
            self._finish(LOAD_FAILED, f"the model failed to load: the worker ended with {how}")
            return
        if time.monotonic() - self._ready_at > HEALTHY_SECONDS:
            self._restarts = 0
        delay = min(FIRST_BACKOFF_SECONDS * 2**self._restarts, LAST_BACKOFF_SECONDS)
        self._restarts += 1
        report("the worker ended and is started again", how=how, delay_seconds=delay)
        self._loop.call_later(delay, self._start_child)

    def _start_child(self) -> None:
        child = self._outfit.child
        if child is None or self._end.done() or child.running or self._workers.unloaded:
            return
        self._child_ended.clear()
        try:
            child.start()
        except OSError as error:
            report("the worker cannot be started", error=str(error))
            self._loop.call_later(LAST_BACKOFF_SECONDS, self._start_child)

    def _let_child_go(self) -> None:
        if self._outfit.child is not None:
            self._outfit.child.stop()

    async def _stop_child(self) -> None:
        child = self._outfit.child
        if child is None or not child.running:
            return
        child.stop()
        try:
            await asyncio.wait_for(self._child_ended.wait(), WORKER_SECONDS)
        except asyncio.TimeoutError:  # noqa: UP041 - the built-in name is the same class only from Python 3.11 on
            child.stop(now=True)
            await self._child_ended.wait()

    # --- the end

    def _on_stop(self) -> None:
        """Drain; a second signal means now, unless it is the first one's echo to the process group."""
        if self._stopping is not None and self._loop.time() - self._stopped_at < ECHO_SECONDS:
            return
        if self._stopping is not None:
            if self._outfit.child is not None:
                self._outfit.child.stop(now=True)
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
        self._doors[1].close()
        deadline = self._loop.time() + GRACE_SECONDS
        left = self._loop.create_task(self._rpc.leave(GRACE_SECONDS)) if self._rpc is not None else None
        self._desk.close_idle()
        while self._desk.connections and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
            self._desk.close_idle()
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
        self._workers.dispatcher.expire()
        if self._rpc is not None:
            self._rpc.look()
        self._loop.call_later(1, self._tick)

    def _count(self, status: int) -> None:
        self._metrics.codes[status] += 1
