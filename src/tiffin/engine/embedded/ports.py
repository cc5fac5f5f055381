"""Listening sockets of the host, opened before a container starts and handed into it."""

from __future__ import annotations

import socket

import msgspec

from tiffin.engine.refused import refused_port
from tiffin.engine.spec import Port
from tiffin.errors import ConfigError

BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel lowers it to its own limit."""


def listen(port: Port, name: str) -> socket.socket:
    """Open a listening socket; raises ConflictError for a port that is taken, and says what to do instead."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            port.host, port.host_port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise ConfigError(f"{port.host!r} is not an address of this host", "publish on 127.0.0.1 or 0.0.0.0") from None
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise refused_port(port, name, error) from error
    return found


def bound(port: Port, listener: socket.socket) -> Port:
    """The port as it really is, the kernel's choice included."""
    return msgspec.structs.replace(port, host_port=listener.getsockname()[1])
