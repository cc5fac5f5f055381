"""The listening sockets: handed in by whoever started us, or our own."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

FIRST = 3
PORTS = {
    "http": ("TIFFIN_HTTP_PORT", 8080),
    "grpc": ("TIFFIN_GRPC_PORT", 8081),
    "metrics": ("TIFFIN_METRICS_PORT", 8082),
}


def inherit(environ: MutableMapping[str, str]) -> dict[str, socket.socket]:
    """Take the sockets that LISTEN_FDS and LISTEN_FDNAMES name (sd_listen_fds(3)), and take those words away.

    LISTEN_PID is not checked: an engine that sets up a container cannot know it.
    """
    count = int(environ.pop("LISTEN_FDS", None) or 0)
    names = (environ.pop("LISTEN_FDNAMES", None) or "").split(":")
    environ.pop("LISTEN_PID", None)
    if count != len(names) and count:
        raise ValueError(f"LISTEN_FDS is {count}, but LISTEN_FDNAMES has {len(names)} names")
    found = {}
    for position in range(count):
        os.set_inheritable(FIRST + position, False)
        found[names[position]] = socket.socket(fileno=FIRST + position)
    return found


def listeners(environ: MutableMapping[str, str], *, grpc: bool = False) -> dict[str, socket.socket]:
    """Give the sockets `http`, `metrics` and, where it is wanted, `grpc`; raises OSError, ValueError.

    Without inherited ones they are bound here; with some, only `http` must be.
    """
    found = inherit(environ)
    wanted = set(PORTS) if grpc else set(PORTS) - {"grpc"}
    bound_here = {"http"} if found else wanted
    for name in set(found) - wanted:
        found.pop(name).close()
    for name, (variable, port) in PORTS.items():
        if name not in found and name in bound_here:
            found[name] = _bind(int(environ.get(variable, port)))
    return found


def _bind(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("0.0.0.0", port))  # noqa: S104 - in a container, who may connect is the engine's matter
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"cannot listen on 0.0.0.0:{port}: {error.strerror}") from error
    bound.listen(1024)
    return bound


def address(bound: socket.socket) -> str:
    """Say where a socket listens, for people."""
    name = bound.getsockname()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
