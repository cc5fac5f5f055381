"""Connections to the host's listening sockets, carried to ports of a container. Standard library only (see `keeper`).

The process is in the container's network; its listening sockets were made in the host's and stay there. One thread
waits for all connections; each way of one is read only when what was read before is written, so a slow reader slows
its writer down, and an end is passed on for each way by itself. A connection that comes before the program listens
waits for it a moment, then it is reset.

Two processes hold the listening sockets, and one of them serves: whichever is killed, the other makes another. What is
connected through the one that served breaks off; the container goes on, and who connects meanwhile waits.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import socket
import struct
import time

from tiffin.engine.embedded import linux
from tiffin.engine.embedded.beside import keep_only

_ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_CHUNK = 1 << 16
_PATIENCE, _PAUSE = 1.0, 0.02
"""Seconds that a connection waits for the program to listen, and between two looks."""
_BATCH = 64
"""Connections that are accepted at once."""
_LOW_PORTS = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_RESET = struct.pack("ii", 1, 0)


TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from typing import NoReturn


def serve(process: int, said: int, told: int, listeners: list[tuple[int, int]]) -> NoReturn:
    """Enter the network of a process and be its relay until `told` ends, without any right there."""
    network = linux.open_network(process)
    for namespace in (fcntl.ioctl(network, linux.NS_GET_USERNS), network):
        linux.setns(namespace)
        os.close(namespace)
    allow_low_ports()
    linux.bound_capabilities()
    linux.drop_capabilities()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.setpgid(0, 0)  # so that all that come of this process can be ended at once
    os.write(said, b"1")
    relay(listeners, said, told)


def relay(listeners: list[tuple[int, int]], said: int, told: int) -> NoReturn:
    """Serve listening sockets, each with its port in the network that this process is in, and have a deputy."""
    loop = None
    while True:
        principal = os.getpid()
        deputy = os.fork()
        if deputy:
            loop = loop or Loop(listeners)
            ended = os.pidfd_open(deputy)
            if told in loop.serve({told, ended}):
                os._exit(0)
            os.close(ended)
            os.waitpid(deputy, 0)
        else:
            if loop:
                loop.leave()
                loop = None
            keep_only([said, told, *(listener for listener, _ in listeners)])
            _wait_for_the_end(principal, told)


def _wait_for_the_end(principal: int, told: int) -> None:
    """Return when the process that serves has ended; end when neither is wanted any more."""
    try:
        ended = os.pidfd_open(principal)
    except ProcessLookupError:
        return
    poll = select.poll()
    for descriptor in (told, ended):
        poll.register(descriptor, select.POLLIN)
    while os.getppid() == principal:
        if told in dict(poll.poll()):
            os._exit(0)
    os.close(ended)


def allow_low_ports() -> None:
    """Let every program of this network listen on any port, as docker does: it is the container's alone."""
    try:
        with open(_LOW_PORTS, "w") as stream:  # noqa: PTH123 - see `stage`
            stream.write("0")
    except OSError:  # /proc is read-only here; root inside may anyway
        return


class Loop:
    """Everything that waits: listening sockets, connections, and those that wait for the program."""

    def __init__(self, listeners: list[tuple[int, int]]) -> None:
        """Carry what comes to each of these sockets to its port."""
        self._epoll = select.epoll()
        self._listeners: dict[int, tuple[socket.socket, int]] = {}
        self._pairs: dict[int, Pair] = {}
        self._waiting: list[Pair] = []
        self._full = False
        for descriptor, port in listeners:
            listener = socket.socket(fileno=descriptor)
            listener.setblocking(False)
            self._listeners[descriptor] = listener, port
            self._epoll.register(descriptor, select.EPOLLIN)

    def serve(self, ends: set[int]) -> set[int]:
        """Serve until some of these descriptors can be read or have ended; returns those."""
        for descriptor in ends:
            self._epoll.register(descriptor, select.EPOLLIN)
        ended = set[int]()
        while not ended:
            ended = self._turn(ends)
        for descriptor in ends:
            self._epoll.unregister(descriptor)
        return ended

    def leave(self) -> None:
        """Know nothing any more of what another process serves."""
        self._epoll.close()
        for listener, _ in self._listeners.values():
            listener.detach()
        for pair in {*self._pairs.values(), *self._waiting}:
            pair.leave()

    def _turn(self, ends: set[int]) -> set[int]:
        """Wait for something, and do it; returns which of the ends are there."""
        ended = set[int]()
        for descriptor, events in self._epoll.poll(_PAUSE if self._waiting else None):
            if descriptor in ends:
                ended.add(descriptor)
            elif descriptor in self._listeners:
                self._accept(*self._listeners[descriptor])
            elif pair := self._pairs.get(descriptor):
                pair.turn(descriptor, events)
                self._settle(pair)
        now = time.monotonic()
        for pair in [pair for pair in self._waiting if pair.due <= now]:
            self._waiting.remove(pair)
            pair.connect()
            self._settle(pair)
        return ended

    def watch(self, descriptor: int, events: int, before: int) -> None:
        """Wait for other events of a descriptor than before; of 0 it is not waited for at all."""
        if events == before:
            return
        if not before:
            self._epoll.register(descriptor, events)
        elif events:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.unregister(descriptor)

    def _accept(self, listener: socket.socket, port: int) -> None:
        for _ in range(_BATCH):
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}:
                    self._rest(resting=True)
                    return
                continue  # it is gone already
            pair = Pair(self, client, port)
            pair.connect()
            self._settle(pair)

    def _settle(self, pair: Pair) -> None:
        """Keep the books after something happened to a pair."""
        for descriptor in pair.gone:
            self._pairs.pop(descriptor, None)
        pair.gone.clear()
        if pair.closed:
            self._rest(resting=False)
            return
        self._pairs.update(dict.fromkeys(pair.descriptors(), pair))
        if pair.waits and pair not in self._waiting:
            self._waiting.append(pair)

    def _rest(self, *, resting: bool) -> None:
        """Accept nothing while there is no descriptor left."""
        if resting != self._full:
            self._full = resting
            for descriptor in self._listeners:
                self.watch(descriptor, *((0, select.EPOLLIN) if resting else (select.EPOLLIN, 0)))


class End:
    """One end of a connection, and what is to be written to it."""

    def __init__(self, stream: socket.socket) -> None:
        """Take a connected socket, or one that is about to be."""
        stream.setblocking(False)
        self.stream = stream
        self.pending = memoryview(b"")
        self.ended = False
        """It was read to its end."""
        self.shut = False
        """Nothing more will be written to it, and its peer knows."""
        self.events = 0


class Pair:
    """A connection from outside, and the one inside that it is carried over."""

    def __init__(self, loop: Loop, client: socket.socket, port: int) -> None:
        """Take a connection to the host; nothing is read of it until there is one inside."""
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop, self._port = loop, port
        self._outer = End(client)
        self._inner: End | None = None
        self._connected = False
        self._tries = 0
        self._until = time.monotonic() + _PATIENCE
        self.due = 0.0
        self.closed = self.waits = False
        self.gone: list[int] = []

    def descriptors(self) -> list[int]:
        """What belongs to this pair."""
        return [end.stream.fileno() for end in (self._outer, self._inner) if end]

    def leave(self) -> None:
        """Know nothing any more of the connections, which another process has."""
        for end in (self._outer, self._inner):
            if end:
                end.stream.detach()

    def connect(self) -> None:
        """Begin to connect inside."""
        self.waits = False
        family, address = _ADDRESSES[self._tries % len(_ADDRESSES)]
        self._tries += 1
        try:
            stream = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            self._later()
            return
        self._inner = End(stream)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if stream.connect_ex((address, self._port)) in {0, errno.EINPROGRESS}:
            self._expect()
        else:
            self._later()

    def turn(self, descriptor: int, events: int) -> None:
        """Do what became possible at one end."""
        inner = self._inner
        if self.closed or inner is None:
            return
        if not self._connected and inner.stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._later()
            return
        self._connected = True
        ends = (inner, self._outer) if descriptor == inner.stream.fileno() else (self._outer, inner)
        try:
            _carry(*ends, readable=bool(events & ~select.EPOLLOUT))
        except OSError:
            self._close(abort=True)
            return
        if inner.shut and self._outer.shut:
            self._close(abort=False)
        else:
            self._expect()

    def _expect(self) -> None:
        """Wait for what can be used: what there is room for, and room for what there is."""
        inner = self._inner
        if inner is None or not self._connected:
            self._watch(inner, select.EPOLLOUT)
            return
        for end, other in ((self._outer, inner), (inner, self._outer)):
            reading = select.EPOLLIN if not end.ended and not other.pending else 0
            self._watch(end, reading | (select.EPOLLOUT if end.pending else 0))

    def _watch(self, end: End | None, events: int) -> None:
        if end:
            self._loop.watch(end.stream.fileno(), events, end.events)
            end.events = events

    def _later(self) -> None:
        """Nobody listens there: try again soon, unless it was tried for long enough."""
        self._drop(self._inner)
        self._inner = None
        self.due = time.monotonic() + (_PAUSE if self._tries % len(_ADDRESSES) == 0 else 0)
        self.waits = self.due < self._until
        if not self.waits:
            self._close(abort=True)

    def _close(self, *, abort: bool) -> None:
        for end in (self._outer, self._inner):
            if end and abort:
                end.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._drop(end)
        self.closed, self.waits = True, False

    def _drop(self, end: End | None) -> None:
        if end:
            self._watch(end, 0)
            self.gone.append(end.stream.fileno())
            end.stream.close()


def _carry(here: End, there: End, *, readable: bool) -> None:
    """Read at one end, if there is something and room for it, and write to both what can be written."""
    if readable and not there.pending and not here.ended:
        _read(here, there)
    for end, other in ((here, there), (there, here)):
        _write(end, over=other.ended)


def _read(here: End, there: End) -> None:
    try:
        data = here.stream.recv(_CHUNK)
    except BlockingIOError:
        return
    here.ended = not data
    there.pending = memoryview(data)


def _write(end: End, *, over: bool) -> None:
    """Write what is pending, and pass the other end's end on when nothing is."""
    if end.pending:
        try:
            end.pending = end.pending[end.stream.send(end.pending) :]
        except BlockingIOError:
            return
    if over and not end.pending and not end.shut:
        end.stream.shutdown(socket.SHUT_WR)
        end.shut = True
