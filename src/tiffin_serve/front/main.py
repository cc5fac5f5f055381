"""The front's command line: `python /opt/tiffin/front ROLE [--service PATH]`.

The role `all` starts its worker before the event loop is imported: loading the model is what everyone waits for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from tiffin_serve.front.child import Child
from tiffin_serve.front.log import say
from tiffin_serve.front.sockets import listeners
from tiffin_serve.protocol.service import Service, read

USAGE = 2
LOAD_FAILED = 3
SERVICE = "/opt/tiffin/service.json"


def main(arguments: list[str] | None = None) -> int:
    """Play the role that is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tiffin", description="Serve the model of this image.", allow_abbrev=False)
    parser.add_argument("role", nargs="?", default="all", choices=["all", "front", "worker"])
    parser.add_argument("--service", type=Path, default=Path(SERVICE), help=f"what to serve (default: {SERVICE})")
    options = parser.parse_args(arguments)
    try:
        service = _adjusted(read(options.service))
        roles = {"all": _all, "front": _front, "worker": _worker}
        return roles[options.role](service, _environment(options.service))
    except (OSError, ValueError) as error:
        say(error.strerror if isinstance(error, OSError) and error.filename is None and error.strerror else str(error))
        return USAGE


def _adjusted(service: Service) -> Service:
    """Let TIFFIN_DRAIN_SECONDS say how long a stopping server still accepts: whoever routes to it knows best."""
    seconds = os.environ.get("TIFFIN_DRAIN_SECONDS")
    if not seconds:
        return service
    return structs.replace(service, serve=structs.replace(service.serve, drain_seconds=float(seconds)))


def _environment(service: Path) -> dict[str, str]:
    return {**os.environ, "TIFFIN_SERVICE": str(service.resolve())}


def _all(service: Service, environment: Mapping[str, str]) -> int:
    folder = Path(tempfile.mkdtemp(prefix="tiffin-", dir="/tmp"))  # a long TMPDIR fits no socket
    try:
        path, token = folder / "worker.sock", os.urandom(16).hex()
        sockets = listeners(os.environ)
        hall = _hall(path)
        handed_in = {"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"}
        own = {name: value for name, value in environment.items() if name not in handed_in}
        child = Child(service.worker, {**own, "TIFFIN_WORKER_SOCKET": str(path), "TIFFIN_WORKER_TOKEN": token})
        try:
            child.start()
        except OSError as error:
            say(f"the worker cannot be started: {error}")
            return LOAD_FAILED
        return _run(service, sockets, hall, token, child)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _front(service: Service, environment: Mapping[str, str]) -> int:
    path, token = _meeting(environment)
    if not token:
        raise ValueError("the role `front` needs TIFFIN_WORKER_TOKEN")
    sockets = listeners(os.environ)
    Path(path).unlink(missing_ok=True)
    hall = _hall(Path(path))
    Path(path).chmod(0o777)  # the token says who may come: engines map users differently
    return _run(service, sockets, hall, token, None)


def _worker(service: Service, environment: Mapping[str, str]) -> int:
    _meeting(environment)
    os.execvpe(service.worker[0], service.worker, environment)  # noqa: S606 - the role is to become that program


def _meeting(environment: Mapping[str, str]) -> tuple[str, str]:
    path = environment.get("TIFFIN_WORKER_SOCKET", "")
    if not path:
        raise ValueError("the roles `front` and `worker` need TIFFIN_WORKER_SOCKET, the path of their Unix socket")
    return path, environment.get("TIFFIN_WORKER_TOKEN", "")


def _hall(path: Path) -> socket.socket:
    hall = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    hall.bind(str(path))
    hall.listen(64)
    return hall


def _run(
    service: Service, sockets: dict[str, socket.socket], hall: socket.socket, token: str, child: Child | None
) -> int:
    from tiffin_serve.front.server import Outfit, run  # noqa: PLC0415 - heavy; the worker has started by now

    return run(
        Outfit(
            service=service,
            http=sockets["http"],
            metrics=sockets.get("metrics"),
            hall=hall,
            token=token,
            child=child,
        )
    )
