"""The workers that have connected: who may, what they serve, and what they say."""

from __future__ import annotations

import asyncio
import hmac
import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import cast

import msgspec

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.batching.loss import Loss
from tiffin_serve.front.log import report
from tiffin_serve.protocol.frames import (
    VERSION,
    Failure,
    FrameError,
    FrameReader,
    FromWorker,
    Hello,
    LoadError,
    Part,
    decode,
    encode_refusal,
    encode_welcome,
)
from tiffin_serve.protocol.signature import Signature

HELLO_SECONDS = 10
TRACEBACK_SECONDS = 0.1
"""What a worker that is to be killed has for writing where it hangs."""
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants to know: a worker is ready or could not load its model, and the model is to be there or to go."""

    ready: Callable[[], None]
    load_failed: Callable[[LoadError], None]
    load: Callable[[], None]
    unload: Callable[[], None]


class Workers:
    """Every worker that is connected and ready; they all serve the same signature."""

    def __init__(self, token: str, dispatcher: Dispatcher, events: Events) -> None:
        self._token = token.encode()
        self._lines: set[WorkerLine] = set()
        self.dispatcher = dispatcher
        self.events = events
        self.signature: Signature | None = None
        self.unloaded = False

    @property
    def ready(self) -> bool:
        """Say whether anyone could predict."""
        return bool(self._lines)

    def load(self) -> None:
        """Have the model again after `unload`; nothing happens where it is there or on its way."""
        if self.unloaded:
            self.unloaded = False
            self.events.load()

    def unload(self) -> None:
        """Let the model go: what is out is still answered, and the memory is given back."""
        if not self.unloaded:
            self.unloaded = True
            self.events.unload()

    def __len__(self) -> int:
        return len(self._lines)

    def welcome(self, line: WorkerLine, hello: Hello) -> str:
        """Take a worker in; returns the reason where it is refused."""
        if hello.version != VERSION:
            return f"frame version {hello.version} is not spoken here, only {VERSION}"
        if not hmac.compare_digest(hello.token.encode(), self._token):
            return "the token is wrong"
        if hello.error is not None:
            self.events.load_failed(hello.error)
            return "there is nothing to do for a worker without a model"
        if hello.signature is None:
            return "a hello needs a signature or an error"
        if self._lines and hello.signature != self.signature:
            return "its model's signature is not the one served here"
        hello.signature.check()
        self.signature = hello.signature
        self._lines.add(line)
        return ""

    def forget(self, line: WorkerLine) -> None:
        """Let a worker go."""
        if line in self._lines:
            self._lines.discard(line)
            self.dispatcher.leave(line, line.why)


class WorkerLine(asyncio.Protocol):
    """The connection to one worker; `why` says what it was lost for."""

    def __init__(self, workers: Workers, loop: asyncio.AbstractEventLoop) -> None:
        self.why: Loss = "crash"
        self._workers = workers
        self._loop = loop
        self._pid = 0
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._known = False
        self._patience = loop.call_later(HELLO_SECONDS, self._close)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the hello."""
        self._transport = cast("asyncio.Transport", transport)  # what a stream server makes
        self._pid = _pid_of(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the batch go to another worker, or wait for the next."""
        del exc
        self._patience.cancel()
        self._transport = None
        self._workers.forget(self)

    def data_received(self, data: bytes) -> None:
        """Take frames; whoever does not speak the protocol is hung up on."""
        try:
            for head, body in self._reader.feed(data):
                self._take(decode(head), body)
        except (FrameError, ValueError) as error:
            report("a worker does not keep to the protocol", error=str(error))
            self._close()

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
        if self._pid and self._signal(signal.SIGQUIT):
            self._loop.call_later(TRACEBACK_SECONDS, self._signal, signal.SIGKILL)
        else:
            self._transport.abort()

    def _signal(self, number: int) -> bool:
        """Send a signal while the connection says that the process is still the one that made it."""
        if self._transport is None:
            return True
        try:
            os.kill(self._pid, number)
        except OSError:
            return False
        return True

    def _take(self, frame: FromWorker, body: memoryview) -> None:
        if isinstance(frame, Hello):
            self._greet(frame)
        elif not self._known:
            raise FrameError("the first frame is not a hello")
        elif isinstance(frame, Failure):
            self._workers.dispatcher.failed(self, frame)
        elif isinstance(frame, Part):
            self._workers.dispatcher.part(self, frame, body)
        else:
            self._workers.dispatcher.finished(self, frame, body)

    def _greet(self, hello: Hello) -> None:
        if self._known:
            raise FrameError("a second hello")
        self._patience.cancel()
        reason = self._workers.welcome(self, hello)
        if reason:
            self.send(encode_refusal(reason))
            self._close()
            if hello.error is None:
                report("a worker was refused", reason=reason)
            return
        self._known = True
        self.send(encode_welcome())
        self._workers.events.ready()
        self._workers.dispatcher.join(self)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _pid_of(connection: socket.socket) -> int:
    """Ask the kernel who is at the other end, as its process is numbered here; 0 where it is not to be seen."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return cast("int", _PEER.unpack(found)[0])
