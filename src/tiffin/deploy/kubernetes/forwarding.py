"""Carry connections of this machine to a port of a service's pods: a WebSocket for each (`v4.channel.k8s.io`).

Newer API servers offer SPDY in a WebSocket as well (`v2.portforward.k8s.io`), which carries many connections in one.
The older protocol is passed on to the node as it is, and served by containerd and CRI-O everywhere: channel 0 is what
goes to and fro, channel 1 what went wrong, and each begins with the port's number.
"""

from __future__ import annotations

import contextlib
import contextvars
import select
import socket
import threading
from collections.abc import Callable

from tiffin.deploy.kubernetes.client.channels import ENOUGH, Channels
from tiffin.errors import ConflictError, TiffinError
from tiffin.progress import note

DATA, WRONG = 0, 1
_PORT_BYTES = 2
_PIECE = 1 << 16
_PING_SECONDS = 20.0
_LINGER_SECONDS = 10.0
"""For how long somebody who says nothing more is still answered: this protocol cannot pass on that he has ended."""

Dial = Callable[[], Channels]


class Forwarding:
    """A port of this machine that leads to one of a service's."""

    def __init__(self, dial: Dial, address: str, port: int) -> None:
        """Listen at an address; port 0 means any that is free. Raises ConflictError for one that is taken."""
        self._dial = dial
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self._listening = socket.create_server((address, port), family=family)
        except OSError as error:
            hint = "name another: `tiffin port-forward NAME LOCAL:REMOTE`, or leave LOCAL out for any that is free"
            raise ConflictError(f"cannot listen at {address}:{port}: {error.strerror}", hint) from error
        self.port: int = self._listening.getsockname()[1]

    def run(self) -> None:
        """Carry connections until `close`."""
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            told = contextvars.copy_context()  # a thread says what goes wrong where this one would
            threading.Thread(target=told.run, args=(self._serve, connection), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                with self._dial() as channels:
                    if words := carry(connection, channels):
                        note(words)
            except (TiffinError, OSError) as error:
                note(f"a connection was given up: {getattr(error, 'message', error)}")


def carry(connection: socket.socket, channels: Channels) -> str:
    """Carry what comes in both directions until one side ends; return what the cluster says went wrong."""
    carried = _Carried(connection, channels)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while carried.goes_on():
            carried.turn()
    return carried.wrong


class _Carried:
    """One connection, and the channels that it goes by."""

    def __init__(self, connection: socket.socket, channels: Channels) -> None:
        connection.setblocking(False)
        self._connection, self._channels = connection, channels
        self._heads = {DATA: _PORT_BYTES, WRONG: _PORT_BYTES}
        self._back = bytearray()
        self._wrong = b""
        self._is_open = True
        self._is_quiet = False

    @property
    def wrong(self) -> str:
        """What the cluster says went wrong."""
        return self._wrong.decode(errors="replace").strip()

    def goes_on(self) -> bool:
        """Say whether there is anything left to carry."""
        return bool(self._back) or not (self._channels.ended or (self._is_quiet and not self._is_open))

    def turn(self) -> None:
        """Wait until something can be carried, and carry it."""
        found = self._wait()
        ours, theirs = (found.get(one.fileno(), 0) for one in (self._connection, self._channels))
        self._is_quiet = not found and not self._channels.has_more
        if self._is_quiet and self._is_open:
            self._channels.ping()
        if ours & ~select.POLLOUT and self._is_open:
            self._pass_on()
        if not self._channels.ended and len(self._back) < ENOUGH:
            for channel, data in self._channels.turn(theirs):
                self._take(channel, data)
        if self._back:
            with contextlib.suppress(BlockingIOError):
                del self._back[: self._connection.send(self._back[:_PIECE])]

    def _wait(self) -> dict[int, int]:
        """What can be read or written by now; whoever is slow to take is not given more."""
        poll = select.poll()
        takes = len(self._back) < ENOUGH
        if not self._channels.ended:
            interest = self._channels.interest
            poll.register(self._channels.fileno(), interest if takes else interest & select.POLLOUT)
        wanted = select.POLLOUT if self._back else 0
        if self._is_open and self._channels.waiting < ENOUGH:
            wanted |= select.POLLIN
        if wanted:
            poll.register(self._connection.fileno(), wanted)
        patience = _PING_SECONDS if self._is_open else _LINGER_SECONDS
        return dict(poll.poll(0 if takes and self._channels.has_more else patience * 1000))

    def _pass_on(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = self._connection.recv(_PIECE)
            self._is_open = bool(data)
            if data:
                self._channels.send(DATA, data)

    def _take(self, channel: int, data: bytes) -> None:
        skipped = min(self._heads.get(channel, 0), len(data))
        self._heads[channel] = self._heads.get(channel, 0) - skipped
        if channel == DATA:
            self._back += data[skipped:]
        elif channel == WRONG:
            self._wrong += data[skipped:]
