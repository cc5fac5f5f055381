"""The listening sockets: handed in by whoever started us, or our own."""

from __future__ import annotations

import atexit
import os
import resource
import socket
from collections.abc import MutableMapping
from pathlib import Path

FIRST = 3
NAMED = "named"
"""A second socket for HTTP, which whoever starts several services may hand in: each at an address of its own."""
PATHS = {"http": "TIFFIN_HTTP_SOCKET"}
HOST = ("TIFFIN_HOST", "0.0.0.0")  # noqa: S104 - in a container, who may connect is the engine's matter
LAST_PORT = 65_535
WORKERS_WAITING = 64
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
    wanted = {*(PORTS if grpc else set(PORTS) - {"grpc"}), NAMED}
    bound_here = {"http"} if found else wanted - {NAMED}
    for name in set(found) - wanted:
        found.pop(name).close()
    host = environ.get(*HOST)
    for name, (variable, port) in PORTS.items():
        if name in found or name not in bound_here:
            continue
        path = environ.get(PATHS.get(name, ""), "")
        found[name] = _bind_path(path) if path else _bind(host, _port(environ.get(variable) or port, variable))
    return found


def _port(text: str | int, variable: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= LAST_PORT:
        raise ValueError(f"{variable} is '{text}'; a port is a number from 0 (any) to {LAST_PORT}")
    return port


def _bind(host: str, port: int) -> socket.socket:
    """Listen on an address; `::` takes IPv4 as well."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
    except OSError as error:
        raise ValueError(f"{HOST[0]} is '{host}'; it must be an address as 0.0.0.0, 127.0.0.1 or ::") from error
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
    except OSError as error:
        bound.close()
        where = f"[{host}]" if family == socket.AF_INET6 else host
        raise OSError(error.errno, f"cannot listen on {where}:{port}: {error.strerror}") from error
    bound.listen(1024)
    return bound


def _bind_path(path: str) -> socket.socket:
    """Listen on a Unix socket; what a server that has ended left at the path is taken away."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        bound.bind(path)
    except OSError as error:
        bound.close()
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on unix:{path}: {reason}") from error
    atexit.register(Path(path).unlink, missing_ok=True)
    bound.listen(1024)
    return bound


def _clear(path: str) -> None:
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        try:
            visitor.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)


def address(bound: socket.socket) -> str:
    """Say where a socket listens, for people."""
    name = bound.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name}"
    return f"http://[{name[0]}]:{name[1]}" if bound.family == socket.AF_INET6 else f"http://{name[0]}:{name[1]}"


def allow_many() -> None:
    """Let as many files be open as the hard limit allows: each client is one, and 1,024 is a common soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return  # then it is as many as there may be already


def hall_at(path: Path, *, others: bool = False) -> socket.socket:
    """Have the socket that workers connect to, in place of one that an earlier front left; raises OSError.

    `others` lets workers in that are not our user's: engines map users differently, and the token says who may come.
    """
    path.unlink(missing_ok=True)
    hall = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        hall.bind(str(path))
        hall.listen(WORKERS_WAITING)
        if others:
            path.chmod(0o777)
    except OSError as error:
        hall.close()
        raise OSError(error.errno, f"workers cannot be let in at {path}: {error.strerror}") from error
    return hall
