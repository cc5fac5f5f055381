"""One front from start to end: listen, keep its workers alive, and leave as a lame duck."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec
import uvloop

from tiffin_serve.front.http.desk import Desk
from tiffin_serve.front.http.door import Door
from tiffin_serve.front.http.limits import Limits
from tiffin_serve.front.log import Writer, begin_writing, end_writing, say
from tiffin_serve.front.rest.scraping import MetricsApi
from tiffin_serve.front.revision import Outfit, Revision
from tiffin_serve.front.rpc.door import RpcDoor
from tiffin_serve.front.rpc.switch import Sole, Switch
from tiffin_serve.front.sockets import address, allow_many
from tiffin_serve.front.workers.crew import LOAD_FAILED, Finish

STOPPED_NOW = 128 + signal.SIGTERM
GRACE_SECONDS = 30
ECHO_SECONDS = 0.2
FRESH_SECONDS = 0.5


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """Where clients and scrapers come in.

    `named` is a second socket for the same. A `patient` front lets clients in when its first worker is ready; until
    then they wait outside, at a socket that another front may be serving.
    """

    http: socket.socket
    named: socket.socket | None = None
    metrics: socket.socket | None = None
    grpc: socket.socket | None = None
    patient: bool = False


def run(doors: Doors, hall: socket.socket, outfit: Outfit) -> int:
    """Serve one model until told to stop; returns the exit status."""
    return run_house(doors, lambda loop, writer, finish: Single(hall, outfit, loop, writer, finish))


def run_house(doors: Doors, furnish: Furnish) -> int:
    """Serve what a function furnishes until told to stop; returns the exit status."""
    allow_many()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    writer = begin_writing()
    try:
        return loop.run_until_complete(Front(doors, loop, partial(furnish, loop, writer)).serve())
    finally:
        end_writing()
        # The end is decided; closing the loop gives signals their default back, and one more would change the status.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        loop.close()


class House(Protocol):
    """What a front serves: who answers clients and scrapers, and the workers behind them."""

    desk: Desk
    admin: Desk
    changed: Callable[[], None]

    @property
    def ready(self) -> bool:
        """Whether anyone could answer."""
        ...

    @property
    def drain_seconds(self) -> float:
        """How long it accepts after it was told to stop."""
        ...

    @property
    def rpc(self) -> Switch:
        """Who is asked by gRPC."""
        ...

    async def listen(self) -> None:
        """Let in workers."""
        ...

    def begin(self) -> None:
        """See to it that there are workers."""
        ...

    def drain(self) -> None:
        """Be not ready from now on."""
        ...

    def tick(self) -> None:
        """Do what is due each second."""
        ...

    async def stop(self) -> None:
        """Let the workers finish and go."""
        ...

    def stop_now(self) -> None:
        """Kill them."""
        ...


Furnish = Callable[[asyncio.AbstractEventLoop, Writer, Finish], House]


class Single:
    """A house of one model: its desk is nobody else's, so that nothing is asked twice."""

    def __init__(
        self, hall: socket.socket, outfit: Outfit, loop: asyncio.AbstractEventLoop, writer: Writer, finish: Finish
    ) -> None:
        self._revision = one = Revision(outfit, loop, writer, finish)
        self.desk = Desk(one.serve, one.limits, dress=one.dress, log=one.log)
        self.desk.answered = one.metrics.answered
        self.admin = Desk(MetricsApi(one.metrics, one.workers, self.desk).serve, Limits(body_bytes=1024))
        self.listen = partial(one.listen, hall)
        self.begin = one.crew.begin
        self.stop_now = one.crew.stop_now
        self.tick = one.metrics.drift.digest

    @property
    def changed(self) -> Callable[[], None]:
        """Who is told that there is a worker more or less."""
        return self._revision.crew.changed

    @changed.setter
    def changed(self, told: Callable[[], None]) -> None:
        self._revision.crew.changed = told

    @property
    def ready(self) -> bool:
        """Say whether anyone could answer."""
        return self._revision.workers.ready

    @property
    def drain_seconds(self) -> float:
        """Give how long it accepts after it was told to stop."""
        return self._revision.service.serve.drain_seconds

    @property
    def rpc(self) -> Switch:
        """Give who is asked by gRPC."""
        return Sole(self._revision.rpc)

    def drain(self) -> None:
        """Be not ready from now on."""
        self._revision.api.draining = True

    async def stop(self) -> None:
        """Let the workers finish and go."""
        await self._revision.crew.stop()
        if self._revision.log is not None:
            self._revision.log.flush()


class Front:
    """The process: doors, signals, the end, and the clock."""

    def __init__(self, doors: Doors, loop: asyncio.AbstractEventLoop, furnish: Callable[[Finish], House]) -> None:
        self._doors = doors
        self._loop = loop
        self._end: asyncio.Future[int] = loop.create_future()
        self._house = house = furnish(self._finish)
        self._desk = house.desk
        self._door = Door(self._desk, *([doors.http] if doors.named is None else [doors.http, doors.named]))
        self._rpc: RpcDoor | None = None
        if doors.grpc is not None:
            self._rpc = RpcDoor(loop, house.rpc, doors.grpc, lambda why: self._finish(LOAD_FAILED, why))
        self._stopping: asyncio.Task[None] | None = None
        self._stopped_at = 0.0
        self._opening: asyncio.Task[None] | None = None

    async def serve(self) -> int:
        """Serve until told to stop; returns the exit status."""
        await self._listen()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_stop)
        self._house.begin()
        self._tick()
        gc.collect()
        gc.freeze()
        try:
            return await self._end
        finally:
            if self._rpc is not None:
                await self._rpc.close()
            await self._house.stop()

    async def _listen(self) -> None:
        """Let in workers, clients and scrapers."""
        doors, house = self._doors, self._house
        house.changed = self._on_changed
        await house.listen()
        if not doors.patient:
            await self._door.open()
        if doors.metrics is not None:
            self._scraped = Door(house.admin, doors.metrics)
            await self._scraped.open()
            say(f"metrics at {address(doors.metrics)}/metrics")
        say(f"listening on {address(doors.http)}")
        if self._rpc is not None:
            self._rpc.open()

    def _on_changed(self) -> None:
        """Let clients in that waited for the first worker, and tell those who watch."""
        if self._rpc is not None:
            self._rpc.look()
        waits = self._doors.patient and self._opening is None and self._stopping is None
        if waits and self._house.ready:
            self._opening = self._loop.create_task(self._door.open())

    # --- the end

    def _on_stop(self) -> None:
        """Drain; a second signal means now, unless it is the first one's echo to the process group."""
        if self._stopping is not None and self._loop.time() - self._stopped_at < ECHO_SECONDS:
            return
        if self._stopping is not None:
            self._house.stop_now()
            self._finish(STOPPED_NOW, "")
            return
        self._stopped_at = self._loop.time()
        self._stopping = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        """Be not ready at once, keep accepting for a while, finish what is in flight, go (lame duck)."""
        self._desk.draining = True
        self._house.drain()
        if self._rpc is not None:
            self._rpc.drain()
        if self._house.ready:
            await asyncio.sleep(self._house.drain_seconds)
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
        self._house.admin.tick()
        self._house.tick()
        if self._rpc is not None:
            self._rpc.look()
        self._loop.call_later(1, self._tick)
