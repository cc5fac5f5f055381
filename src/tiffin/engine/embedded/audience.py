"""Whoever is attached to a container: each is told what it writes, as it was written. Standard library only.

Somebody who attaches sends the keeper two pipes with the message {"attach": true}, and gets the container's input back,
if it has one. A pipe takes what it has room for; the rest waits, and the container with it once that is too much, so
that what is shown is always whole. Who hangs up is told no more.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket

from tiffin.engine.embedded.terminal import Wires, read

MESSAGE = 4096
"""Bytes of the longest control message."""
_CHUNK = 1 << 16
_PATIENCE = 1 << 20
"""Bytes that may wait for a slow reader before the container has to."""
_STREAMS = ("stdout", "stderr")

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from collections.abc import Callable

    Watch = Callable[[int, Callable[[], None], int], None]
    """Calls something whenever a descriptor has one of these events."""


class Audience:
    """Reads what a container writes, and passes it on to the log and to all who are attached."""

    def __init__(
        self, wires: Wires, watch: Watch, forget: Callable[[int], object], log: Callable[[str, bytes], None]
    ) -> None:
        self._wires, self._watch, self._forget, self._log = wires, watch, forget, log
        self._sinks: dict[int, dict[str, int]] = {}
        self._waiting: dict[int, bytearray] = {}
        self._listens = False

    def listen(self) -> None:
        """Read the program's words from now on."""
        self._listens = True
        for stream, descriptor in self._wires.outputs.items():
            self._watch(descriptor, self._reader(stream, descriptor), select.POLLIN)

    def hear(self, connection: socket.socket) -> dict[str, object]:
        """Read a message; who wants to attach is, and who says so ends the input. Raises ValueError for nonsense."""
        text, descriptors, _, _ = socket.recv_fds(connection, MESSAGE, len(_STREAMS))
        try:
            message: dict[str, object] = json.loads(text)
            if "attach" in message and len(descriptors) == len(_STREAMS):
                self._join(connection, descriptors)
                descriptors = []
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if "end" in message:
            self._wires.end_input()
        return message

    def leave(self, connection: int) -> None:
        """Tell somebody no more."""
        for descriptor in self._sinks.pop(connection, {}).values():
            self._close(descriptor)
        self._resume()

    def drain(self) -> None:
        """Pass on what is left, as far as they have room for it."""
        for stream, descriptor in self._wires.outputs.items():
            while data := read(descriptor, _CHUNK):
                self._tell(stream, data)

    def _join(self, connection: socket.socket, descriptors: list[int]) -> None:
        given = self._wires.input
        socket.send_fds(connection, [b'{"attached": true}'], [] if given is None else [given], socket.MSG_NOSIGNAL)
        for descriptor in descriptors:
            os.set_blocking(descriptor, False)
            os.set_inheritable(descriptor, False)
        self._sinks[connection.fileno()] = dict(zip(_STREAMS, descriptors, strict=True))
        self.listen()

    def _reader(self, stream: str, descriptor: int) -> Callable[[], None]:
        def hear() -> None:
            data = read(descriptor, _CHUNK)
            if data:
                self._tell(stream, data)
            elif data is not None:
                self._forget(descriptor)
                self._wires.end_output(stream)

        return hear

    def _tell(self, stream: str, data: bytes) -> None:
        self._log(stream, data)
        for sinks in self._sinks.values():
            if descriptor := sinks.get(stream):
                self._waiting.setdefault(descriptor, bytearray()).extend(data)
                self._pass(descriptor)

    def _pass(self, descriptor: int) -> None:
        """Give a reader what it has room for; the rest is for when it has more."""
        waiting = self._waiting[descriptor]
        try:
            del waiting[: os.write(descriptor, waiting)]
        except BlockingIOError:
            pass
        except OSError:  # it reads no more
            waiting.clear()
        if not waiting:
            self._forget(descriptor)
            del self._waiting[descriptor]
            self._resume()
            return
        self._watch(descriptor, lambda: self._pass(descriptor), select.POLLOUT)
        if len(waiting) > _PATIENCE:
            for output in self._wires.outputs.values():
                self._forget(output)

    def _resume(self) -> None:
        """Listen to the program again when nobody is too far behind."""
        if self._listens and all(len(waiting) <= _PATIENCE for waiting in self._waiting.values()):
            self.listen()

    def _close(self, descriptor: int) -> None:
        if self._waiting.pop(descriptor, None) is not None:
            self._forget(descriptor)
        os.close(descriptor)

    def serve(self) -> None:
        """Stay for those who read slowly, if there are any: with nothing but their pipes, so that nobody else waits."""
        if not self._waiting:
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        first = 0
        for kept in (*sorted(self._waiting), os.sysconf("SC_OPEN_MAX")):
            os.closerange(first, kept)
            first = kept + 1
        for descriptor, waiting in self._waiting.items():
            _write(descriptor, waiting)
            os.close(descriptor)
        os._exit(0)


def _write(descriptor: int, data: bytearray) -> None:
    """Write all of it, unless nobody reads it."""
    os.set_blocking(descriptor, True)
    try:
        while data:
            del data[: os.write(descriptor, data)]
    except OSError:
        return
