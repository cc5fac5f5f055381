"""The workers that have connected: who may, what they serve, and what they say."""

from __future__ import annotations

import asyncio
import hmac
import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import cast

import msgspec

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.batching.loss import Loss
from tiffin_serve.front.log import report
from tiffin_serve.protocol.frames import (
    VERSION,
    Ended,
    Failure,
    FrameError,
    FrameReader,
    FromWorker,
    Hello,
    LoadError,
    Part,
    Result,
    Unknown,
    decode,
    encode_refusal,
    encode_welcome,
)
from tiffin_serve.protocol.signature import Signature

HELLO_SECONDS = 10
PIECE = 262_144
TRACEBACK_SECONDS = 0.1
"""What a worker that is to be killed has for writing where it hangs."""
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants to know of workers, and that the model is to be there or to go.

    `arrived`: one with a model has been welcomed. `lost`: it is gone; gives what else is known of why, and the limit
    that it met. `ended`: a process that it had forked is gone. `unload` says whether those who are connected will go.
    `changed`: there is another set of those that may predict, or of those that may not.
    """

    arrived: Callable[[WorkerLine, Hello], None]
    lost: Callable[[WorkerLine], tuple[Loss, str]]
    ended: Callable[[WorkerLine, Ended], None]
    load_failed: Callable[[LoadError], None]
    load: Callable[[], None]
    unload: Callable[[], bool]
    changed: Callable[[], None]


class Workers:
    """Every worker that may predict; they all serve the same signature."""

    def __init__(self, token: str, dispatcher: Dispatcher, events: Events) -> None:
        self._token = token.encode()
        self._lines: set[WorkerLine] = set()
        self._leaving: set[WorkerLine] = set()
        self.dispatcher = dispatcher
        self.events = events
        self.signature: Signature | None = None
        self.unloaded = False
        self.failures: dict[str, str] = {}
        """Why a worker of that instance may not serve, until it may."""
        self.failure = ""
        """Why the model could not be loaded the last time, until it is tried again."""

    @property
    def ready(self) -> bool:
        """Say whether anyone could predict who is not about to go."""
        return not self._lines <= self._leaving

    def load(self) -> None:
        """Have the model again after `unload`; nothing happens where it is there or on its way."""
        if self.unloaded:
            self.unloaded = False
            self.failure = ""
            self.events.load()

    def unload(self) -> None:
        """Let the model go: what is out is still answered, and the memory is given back."""
        if not self.unloaded:
            self.unloaded = True
            self._leaving = set(self._lines) if self.events.unload() else set()

    def __len__(self) -> int:
        return len(self._lines)

    def since(self) -> dict[str, float]:
        """Say of each instance that has a worker since when the longest of them may predict, in seconds since 1970."""
        found: dict[str, float] = {}
        for line in self._lines - self._leaving:
            found[line.instance] = min(line.admitted, found.get(line.instance, line.admitted))
        return found

    def welcome(self, hello: Hello) -> str:
        """Look at who comes; returns the reason where it is refused."""
        if hello.version != VERSION:
            return f"frame version {hello.version} is not spoken here, only {VERSION}"
        if not hmac.compare_digest(hello.token.encode(), self._token):
            return "the token is wrong"
        if hello.error is not None:
            self.failure = hello.error.message
            self.fail(hello.instance, hello.error.message)
            self.events.load_failed(hello.error)
            return "there is nothing to do for a worker without a model"
        if hello.signature is None:
            return "a hello needs a signature or an error"
        if self._lines and hello.signature != self.signature:
            return "its model's signature is not the one served here"
        hello.signature.check()
        return ""

    def admit(self, line: WorkerLine, signature: Signature) -> None:
        """Let a worker predict for clients."""
        self.signature = signature
        self.failures.pop(line.instance, None)
        line.admitted = time.time()
        self._lines.add(line)
        line.dispatcher = self.dispatcher
        self.dispatcher.join(line)
        self.events.changed()

    def fail(self, instance: str, why: str) -> None:
        """Note why a worker of that instance may not serve."""
        self.failures[instance] = why
        self.events.changed()

    def rest(self, line: WorkerLine) -> None:
        """Ask a worker nothing for now, which has nothing to do."""
        self._lines.discard(line)
        if line.dispatcher is not None:
            line.dispatcher.leave(line)
            line.dispatcher = None
        self.events.changed()

    def forget(self, line: WorkerLine) -> None:
        """Let a worker go."""
        self._lines.discard(line)
        self._leaving.discard(line)
        why, limit = self.events.lost(line)
        if line.dispatcher is not None:
            line.dispatcher.leave(line, why, limit)
        self.events.changed()


class WorkerLine(asyncio.Protocol):
    """The connection to one worker; `why` says what it is killed for, `dispatcher` whose batches it has.

    `answered` says whether it has ever given a result, `instance` what its starter calls it.
    """

    def __init__(self, workers: Workers, loop: asyncio.AbstractEventLoop) -> None:
        self.why: Loss = "crash"
        self.pid = 0
        self.instance = ""
        self.admitted = 0.0
        self.answered = False
        self.dispatcher: Dispatcher | None = None
        self._workers = workers
        self._loop = loop
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._taking = False
        self._known = False
        self._patience = loop.call_later(HELLO_SECONDS, self.close)

    @property
    def is_open(self) -> bool:
        """Say whether the worker has not been seen to go."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the hello."""
        self._transport = cast("asyncio.Transport", transport)  # what a stream server makes
        connection = transport.get_extra_info("socket")
        self._descriptor = connection.fileno()
        self.pid = _pid_of(connection)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the batch go to another worker, or wait for the next."""
        del exc
        self._patience.cancel()
        self._transport = None
        if self._known:
            self._workers.forget(self)

    def data_received(self, data: bytes) -> None:
        """Take frames; whoever does not speak the protocol is hung up on."""
        self._taking = True
        try:
            for head, body in self._reader.feed(data):
                self._take(decode(head), body)
        except (FrameError, ValueError) as error:
            report("a worker does not keep to the protocol", error=str(error))
            self.close()
        finally:
            self._taking = False

    def look(self) -> None:
        """Take what has come by now, in the midst of the loop's turn; the loop then finds nothing more.

        An end, or an error, is left for the loop to find.
        """
        transport = self._transport
        if transport is None or self._taking or transport.is_closing() or not transport.is_reading():
            return
        try:
            data = os.read(self._descriptor, PIECE)
        except OSError:
            return
        if data:
            self.data_received(data)

    def send(self, frame: bytes) -> None:
        """Send a frame; a worker that is gone is noticed by `connection_lost`."""
        if self._transport is not None:
            self._transport.write(frame)

    def hold(self, *, on: bool) -> None:
        """Read nothing more from the worker, so that it waits with what it has to say, or go on."""
        if self._transport is not None and on is self._transport.is_reading():
            if on:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def kill(self, reason: Loss) -> None:
        """End the worker, whatever it is doing; first it is to log where it is, which it can even in C code.

        One that is not seen from here, for it is in a container of its own, is hung up on and has to end by itself.
        """
        if self._transport is None or self.why != "crash":
            return
        self.why = reason
        if self.pid and self._signal(signal.SIGQUIT):
            self._loop.call_later(TRACEBACK_SECONDS, self._signal, signal.SIGKILL)
        else:
            self._transport.abort()

    def ask_to_go(self) -> None:
        """Let the worker finish what it has and end."""
        if self.pid:
            self._signal(signal.SIGTERM)

    def close(self) -> None:
        """Hang up; a worker that reads that ends, or connects again."""
        if self._transport is not None:
            self._transport.close()

    def _signal(self, number: int) -> bool:
        """Send a signal while the connection says that the process is still the one that made it."""
        if self._transport is None:
            return True
        try:
            os.kill(self.pid, number)
        except OSError:
            return False
        return True

    def _take(self, frame: FromWorker | Unknown, body: memoryview) -> None:
        if isinstance(frame, Result):
            self.answered = True
            self._busy().finished(self, frame, body)
        elif isinstance(frame, Hello):
            self._greet(frame)
        elif not self._known:
            raise FrameError("the first frame is not a hello")
        elif isinstance(frame, Failure):
            self._busy().failed(self, frame)
        elif isinstance(frame, Part):
            self._busy().part(self, frame, body)
        elif isinstance(frame, Ended):
            self._workers.events.ended(self, frame)

    def _busy(self) -> Dispatcher:
        if self.dispatcher is None:
            raise FrameError("the worker was asked nothing")
        return self.dispatcher

    def _greet(self, hello: Hello) -> None:
        if self._known:
            raise FrameError("a second hello")
        self._patience.cancel()
        self.instance = hello.instance
        reason = self._workers.welcome(hello)
        if reason:
            self._workers.fail(hello.instance, self._workers.failures.get(hello.instance, reason))
            self.send(encode_refusal(reason))
            self.close()
            if hello.error is None:
                report("a worker was refused", reason=reason)
            return
        self._known = True
        self.send(encode_welcome())
        self._workers.events.arrived(self, hello)


def _pid_of(connection: socket.socket) -> int:
    """Ask the kernel who is at the other end, as its process is numbered here; 0 where it is not to be seen."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return cast("int", _PEER.unpack(found)[0])
