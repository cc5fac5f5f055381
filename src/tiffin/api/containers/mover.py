"""The steps of a move, done: what `engine.moving` decided, between two engines."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, cast

import msgspec

from tiffin.api.containers.run import POLL_SECONDS, failed, is_ready
from tiffin.api.containers.verbs import HTTP, address, http_port
from tiffin.api.containers.volumes import volumes_of
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.durable import room_in
from tiffin.engine.moving import Act, Move, Step
from tiffin.engine.spec import Container, ContainerSpec, Engine, Port, Status, named_volumes
from tiffin.errors import CommandError, ConflictError, NotFoundError, UnavailableError
from tiffin.progress import note, step

READY_SECONDS = 60.0
"""Seconds that the new container gets to be ready where nobody says otherwise."""
SETTLED_SECONDS = 0.5
"""Seconds that a program must have run which does not say when it is ready."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """An engine, what it is called, and its container of the name that is meant, if it has one."""

    name: str
    engine: Engine
    container: Container | None = None

    @property
    def status(self) -> Status | None:
        """What the container is doing, if there is one."""
        return self.container.state().status if self.container else None

    def found(self, name: str) -> Side:
        """The same with the container of this name or ID."""
        with contextlib.suppress(NotFoundError):
            return msgspec.structs.replace(self, container=self.engine.find(name))
        return msgspec.structs.replace(self, container=None)


class Mover:
    """One container on its way: what has become of it so far."""

    def __init__(self, spec: ContainerSpec, old: Side, new: Side, home: Home, seconds: float) -> None:
        self._spec, self._old, self._new, self._home, self._seconds = spec, old, new, home, seconds
        self._stopped: float | None = None
        self.settled = False
        """Whether nothing is left to be carried on: it is moved, or all is as it was."""
        self._acts: dict[Act, Callable[[str], None]] = {
            Act.LOAD: lambda _: self._load(),
            Act.REHEARSE: self._rehearse,
            Act.COPY: self._copy,
            Act.CREATE: lambda _: self._create(),
            Act.DISCARD: lambda _: self._discard(),
            Act.STOP: lambda _: self._stop(),
            Act.START: lambda _: self._made().start(),
            Act.READY: lambda _: self._ready(),
            Act.REMOVE: lambda _: self._remove(),
            Act.FORGET: self._forget,
        }

    def do(self, move: Move) -> str:
        """Do it all and return where the new one answers, or its name; a failure before it is ready is undone."""
        if move.interrupts:
            where = f"{self._old.name} before it runs on {self._new.name}"
            note(f"{self._spec.name} stops on {where}: {move.interrupts}")
        try:
            self._do(*move.steps)
        except BaseException:
            if move.undone:
                self._undo()
                self.settled = True
            raise
        self._do(*move.finish)
        self.settled = True
        port = http_port(self._made().state().ports)
        return address(port) if port else self._spec.name

    def _do(self, *steps: Step) -> None:
        for one in steps:
            with step("migrate", one.described):
                self._acts[one.act](one.volume)

    def _undo(self) -> None:
        """Leave things as they were: the old one serves, and of the new one nothing is left."""
        try:
            self._discard()  # it may have the old one's port
        finally:
            self._serve_again()
        for name in named_volumes(self._spec):
            with contextlib.suppress(NotFoundError, ConflictError):
                volumes_of(self._new.engine).remove_volume(name)

    def _serve_again(self) -> None:
        old = self._old.container
        if old and self._old.status is not Status.RUNNING:
            note(f"{self._spec.name} is started again on {self._old.name}")
            old.start()

    def _load(self) -> None:
        image = find_image(self._home.store, str(self._spec.digest))
        self._new.engine.load(self._home.store, image)

    def _rehearse(self, name: str) -> None:
        """Copy what may change meanwhile; only that it can be copied counts."""
        try:
            self._copy(name)
        except CommandError as error:
            note(f"{name} changed while it was read, which does not matter yet: {error.message}")

    def _copy(self, name: str) -> None:
        """Copy a volume by way of a file, so that a part of it is never taken for the whole."""
        folder = self._home.cache
        folder.mkdir(parents=True, exist_ok=True)
        with room_in(folder), tempfile.TemporaryFile(dir=folder) as paper:
            tar = cast("BinaryIO", paper)
            volumes_of(self._old.engine).export_volume(name, tar, self._spec.user)
            tar.flush()
            tar.seek(0)
            volumes_of(self._new.engine).import_volume(name, tar, self._spec.user)

    def _create(self) -> None:
        self._new = msgspec.structs.replace(self._new, container=self._new.engine.create(self._spec))

    def _discard(self) -> None:
        """Remove the new one; asked by name, since a program that was killed may have made one and not said so."""
        found = self._new.found(self._spec.name)
        if found.container and found.container.spec == self._spec:
            found.container.remove(force=True)
        self._new = msgspec.structs.replace(self._new, container=None)

    def _stop(self) -> None:
        """Stop the old one, and note when it was last seen to serve: one that drains serves for a while yet."""
        old = self._old.container
        if old:
            with last_served(old.state().ports) as last:
                old.stop()
            self._stopped = last[-1]

    def _ready(self) -> None:
        """Wait until it says that it is ready, or has run for a moment where it cannot say so."""
        container, began = self._made(), time.monotonic()
        while True:
            state, now = container.state(), time.monotonic()
            if state.status is not Status.RUNNING:
                raise failed(container)
            port = http_port(state.ports)
            says = port is not None and port.socket == HTTP
            if is_ready(port) if port and says else now - began >= SETTLED_SECONDS:
                break
            if now - began >= self._seconds:
                message = f"{self._spec.name} was not ready on {self._new.name} within {self._seconds:g} s"
                raise UnavailableError(message, "give it longer: `--timeout 300`")
            time.sleep(POLL_SECONDS)
        if self._stopped is not None:
            note(f"nobody served for {time.monotonic() - self._stopped - (0 if says else SETTLED_SECONDS):.2f} s")

    def _remove(self) -> None:
        if self._old.container:
            self._old.container.remove(force=True)

    def _forget(self, name: str) -> None:
        """Remove what was copied; one that somebody has begun to use meanwhile stays."""
        with contextlib.suppress(NotFoundError, ConflictError):
            volumes_of(self._old.engine).remove_volume(name)

    def _made(self) -> Container:
        if self._new.container is None:
            raise NotFoundError(f"{self._new.name} has no container {self._spec.name!r} any more", "move it once more")
        return self._new.container


@contextlib.contextmanager
def last_served(ports: Sequence[Port]) -> Iterator[list[float]]:
    """Note when a container last took a connection while the block runs; that is its begin where it has no port.

    Seconds of the monotonic clock; the list has one.
    """
    times, over = [time.monotonic()], threading.Event()
    watch = threading.Thread(target=_watch, args=(ports[0], times, over)) if ports else None
    if watch:
        watch.start()
    try:
        yield times
    finally:
        over.set()
        if watch:
            watch.join()


def _watch(port: Port, times: list[float], over: threading.Event) -> None:
    while not over.wait(POLL_SECONDS):
        with contextlib.suppress(OSError), socket.create_connection((port.host, port.host_port), timeout=1):
            times[-1] = time.monotonic()
