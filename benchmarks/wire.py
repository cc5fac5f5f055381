"""A stretch of wire on loopback that counts what goes to a server."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

PIECE = 1 << 16


class Wire:
    """Passes connections on to a server; `sent` is how many bytes clients have sent by now."""

    def __init__(self, server: str) -> None:
        """Lead to `host:port`."""
        self._server = (server.partition(":")[0], int(server.partition(":")[2]))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._guard = threading.Lock()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.sent = 0
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        """Pass on until the socket is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection(self._server)
                self._ends += [client, server]
                for source, target, counts in ((client, server, 1), (server, client, 0)):
                    thread = threading.Thread(target=self._pass, args=(source, target, counts))
                    self._threads.append(thread)
                    thread.start()

    def close(self) -> None:
        """Hang up, and take no more connections."""
        for end in (self._socket, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._socket, *self._ends):
            end.close()

    def _pass(self, source: socket.socket, target: socket.socket, counts: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                with self._guard:
                    self.sent += counts * len(data)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def wire(server: str) -> Iterator[Wire]:
    """Have a wire to `host:port` while the block runs."""
    made = Wire(server)
    thread = threading.Thread(target=made.serve)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()
