"""This process attached to a container: bytes between its streams and those that the keeper has (see `audience`)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading

from tiffin.engine.embedded.audience import MESSAGE
from tiffin.engine.keys import Scanner
from tiffin.engine.relay import copy, unread
from tiffin.engine.screen import raw, resize, resizing, size

TYPE_CHECKING = False  # what `typing` calls the same; importing it would delay what is started again
if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from typing import Protocol

    class Spoken(Protocol):
        """What there is to know of a container: whether it has a terminal, and an input."""

        @property
        def tty(self) -> bool:
            """Whether it has a terminal."""

        @property
        def stdin(self) -> bool:
            """Whether it has an input."""

    class Ends(Protocol):
        """This process's streams (see `spec.Streams`)."""

        @property
        def stdin(self) -> int | None:
            """What is passed on."""

        @property
        def stdout(self) -> int:
            """Where its output goes."""

        @property
        def stderr(self) -> int:
            """Where its errors go."""


_CHUNK = 1 << 16
_DETACHED, _UNREAD = b"d", b"u"
"""What the threads tell the one that waits."""


class Attachment:
    """One who is attached over a connection to the keeper; `ends` says that the container's input ends with ours."""

    def __init__(self, connection: socket.socket, spec: Spoken, streams: Ends, *, ends: bool) -> None:
        self._connection, self._tty, self._streams, self._ends = connection, spec.tty, streams, ends
        self._source = streams.stdin if spec.stdin else None

    def relay(self, keys: bytes) -> bool:
        """Carry bytes until the container has ended (True) or it was left (False)."""
        with contextlib.ExitStack() as opened:
            out, err = (opened.enter_context(os.fdopen(end, "rb", 0)) for end in self._pipes())
            given = self._given()
            if given is not None:
                opened.enter_context(given)
            terminal = given.fileno() if given is not None and self._tty else None
            if terminal is not None and not self._ends:  # so that a program draws its screen anew
                lines, columns = size(self._streams.stdin, self._streams.stdout)
                resize(terminal, lines, columns + 1)
            opened.enter_context(resizing(terminal, self._streams.stdin, self._streams.stdout))
            opened.enter_context(raw(self._source, other=terminal))
            return self._carry(out.fileno(), err.fileno(), given, keys if self._tty else b"")

    def _pipes(self) -> tuple[int, int]:
        """Give the keeper two pipes to fill."""
        out, stdout = os.pipe()
        err, stderr = os.pipe()
        with contextlib.suppress(OSError):  # it has just ended; both pipes end at once
            socket.send_fds(self._connection, [json.dumps({"attach": True}).encode()], [stdout, stderr])
        os.close(stdout)
        os.close(stderr)
        return out, err

    def _given(self) -> FileIO | None:
        """The container's input or terminal, if it has one; an ended container gives none."""
        with contextlib.suppress(OSError):
            while True:
                text, descriptors, _, _ = socket.recv_fds(self._connection, MESSAGE, 1)
                if descriptors or text != b"\n":
                    return os.fdopen(descriptors[0], "wb", 0) if descriptors else None
        return None

    def _carry(self, out: int, err: int, given: FileIO | None, keys: bytes) -> bool:
        told, tell = os.pipe()
        stopping, stop = os.pipe()
        work: list[Callable[[], None]] = [
            lambda: self._show(out, self._streams.stdout, stopping, tell),
            lambda: self._show(err, self._streams.stderr, stopping, tell),
        ]
        readers = [threading.Thread(target=task, daemon=True) for task in work]
        feeder = threading.Thread(target=self._feed, args=(given, keys, stopping, tell), daemon=True)
        ended = False
        try:
            for thread in (*readers, feeder):
                thread.start()
            ended = self._wait(told)
            if ended:
                for thread in readers:
                    thread.join()
            return ended
        finally:
            os.close(stop)
            for thread in (*readers, feeder):
                thread.join()
            for descriptor in (stopping, told, tell):
                os.close(descriptor)

    def _wait(self, told: int) -> bool:
        """Wait for the keeper to hang up, or for a thread that has something to tell."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        poll.register(told, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if told in ready:
                if os.read(told, 1) == _UNREAD:
                    raise BrokenPipeError
                return False
            try:
                if not self._connection.recv(MESSAGE):
                    return True
            except ConnectionResetError:
                return True

    def _show(self, source: int, sink: int, stopping: int, tell: int) -> None:
        copy(source, sink, stopping, keep=True, drain=False)
        if unread(sink):
            os.write(tell, _UNREAD)

    def _feed(self, given: FileIO | None, keys: bytes, stopping: int, tell: int) -> None:
        """Pass on what is typed, until that ends or the keys are typed."""
        if given is None or self._source is None:
            return
        scanner = Scanner(keys)
        with contextlib.suppress(OSError):  # the program reads no more, or our terminal hung up
            while data := _read(self._source, stopping):
                passed, detached = scanner.feed(data)
                _write(given.fileno(), passed, stopping)
                if detached:
                    os.write(tell, _DETACHED)
                    return
        if self._ends and not self._tty:  # the program sees the end when nobody has this end of it any more
            given.close()
            with contextlib.suppress(OSError):
                self._connection.send(b'{"end": true}')


def _read(source: int, stopping: int) -> bytes:
    """Read what there is to read, or nothing when it is time to stop."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(stopping, select.POLLIN)
    return b"" if stopping in dict(poll.poll()) else os.read(source, _CHUNK)


def _write(sink: int, data: bytes, stopping: int) -> None:
    """Write it all to what does not block, unless it is time to stop."""
    poll = select.poll()
    poll.register(sink, select.POLLOUT)
    poll.register(stopping, select.POLLIN)
    while data and stopping not in dict(poll.poll()):
        with contextlib.suppress(BlockingIOError):
            data = data[os.write(sink, data) :]
