"""The front's command line: `python /opt/tiffin/front ROLE [--service PATH]`, or `front --table PATH`.

The role `all` starts its worker before it imports anything it can do without, JSON and the event loop included:
loading the model is what everyone waits for.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from tiffin_serve.front.log import say
from tiffin_serve.front.sockets import NAMED, hall_at, listeners
from tiffin_serve.front.workers.child import Children

TYPE_CHECKING = False  # `typing` is heavy, too
if TYPE_CHECKING:
    from tiffin_serve.protocol.service import Service

USAGE = 2
LOAD_FAILED = 3
SERVICE = "/opt/tiffin/service.json"


def main(arguments: list[str] | None = None) -> int:
    """Play the role that is asked for; returns the exit status."""
    roles = {"all": _all, "front": _front, "worker": _worker}
    role, service, table = _options(sys.argv[1:] if arguments is None else arguments, list(roles))
    try:
        if table is not None:
            return _routed(table)
        return roles[role](service, _environment(service))
    except (OSError, ValueError) as error:
        say(error.strerror if isinstance(error, OSError) and error.filename is None and error.strerror else str(error))
        return USAGE


def _options(arguments: list[str], roles: list[str]) -> tuple[str, Path, Path | None]:
    """Read the arguments; what every image says, one role, needs no parser, whose import the worker would wait for."""
    if len(arguments) == 1 and arguments[0] in roles:
        return arguments[0], Path(SERVICE), None
    import argparse  # noqa: PLC0415 - as said above

    parser = argparse.ArgumentParser(prog="tiffin", description="Serve the model of this image.", allow_abbrev=False)
    parser.add_argument("role", nargs="?", default="all", choices=roles)
    parser.add_argument("--service", type=Path, default=Path(SERVICE), help=f"what to serve (default: {SERVICE})")
    parser.add_argument("--table", type=Path, help="the revisions to route requests among (role `front`)")
    options = parser.parse_args(arguments)
    if options.table is not None and options.role != "front":
        parser.error("--table is for the role `front`")
    return options.role, options.service, options.table


def _read(path: Path, drain_seconds: float | None) -> Service:
    """Read the service, and let its environment say how long a stopping server accepts: a router knows best."""
    from msgspec import structs  # noqa: PLC0415 - heavy; the worker has started by now

    from tiffin_serve.protocol.service import read  # noqa: PLC0415 - as above

    service = read(path)
    if drain_seconds is None:
        return service
    return structs.replace(service, serve=structs.replace(service.serve, drain_seconds=drain_seconds))


def _drain_seconds(environment: Mapping[str, str]) -> float | None:
    seconds = environment.get("TIFFIN_DRAIN_SECONDS")
    return float(seconds) if seconds else None


def _worker_argv(path: Path) -> list[str]:
    """Find out how a worker is started; whatever else is wrong with the document is told when it is read whole."""
    document = json.loads(path.read_bytes())
    argv = document.get("worker") if isinstance(document, dict) else None
    if not isinstance(argv, list) or not argv or not all(isinstance(part, str) for part in argv):
        _read(path, None)
        raise ValueError(f"{path}: no worker")
    return argv


def _wants_grpc(path: Path) -> bool:
    """Find out whether there is one socket more; as above."""
    document = json.loads(path.read_bytes())
    serve = document.get("serve") if isinstance(document, dict) else None
    return isinstance(serve, dict) and serve.get("grpc") is True


def _environment(service: Path) -> dict[str, str]:
    return {**os.environ, "TIFFIN_SERVICE": str(service.resolve())}


def _all(document: Path, environment: Mapping[str, str]) -> int:
    drain = _drain_seconds(environment)
    folder = Path("/tmp", f"tiffin-{os.urandom(8).hex()}")  # noqa: S108 - made for us alone; a long TMPDIR fits no socket
    folder.mkdir(mode=0o700)
    path = folder / "worker.sock"
    try:
        token = os.urandom(16).hex()
        sockets = listeners(os.environ, grpc=_wants_grpc(document))
        hall = hall_at(path)
        handed_in = {
            "LISTEN_FDS",
            "LISTEN_FDNAMES",
            "LISTEN_PID",
            "TIFFIN_BEARER_TOKEN",
        }  # none of the model's business
        own = {name: value for name, value in environment.items() if name not in handed_in}
        meeting = {
            "TIFFIN_WORKER_SOCKET": str(path),
            "TIFFIN_WORKER_TOKEN": token,
            "TIFFIN_FRONT_PID": str(os.getpid()),
        }
        children = Children(_worker_argv(document), {**own, **meeting})
        try:
            children.start()
        except OSError as error:
            say(f"the worker cannot be started: {error}")
            return LOAD_FAILED
        try:
            return _run(_read(document, drain), sockets, hall, token, children)
        except BaseException:
            children.stop(now=True)
            raise
    finally:
        path.unlink(missing_ok=True)
        folder.rmdir()


def _front(document: Path, environment: Mapping[str, str]) -> int:
    service = _read(document, _drain_seconds(environment))
    path, token = _meeting(environment)
    if not token:
        raise ValueError("the role `front` needs TIFFIN_WORKER_TOKEN")
    sockets = listeners(os.environ, grpc=service.serve.grpc)
    return _run(service, sockets, hall_at(Path(path), others=True), token, None)


def _routed(path: Path) -> int:
    """Serve the revisions of a table; their workers are others' processes."""
    from tiffin_serve.front.routing.house import Routed  # noqa: PLC0415 - for this role alone
    from tiffin_serve.front.routing.table import read  # noqa: PLC0415 - as above
    from tiffin_serve.front.server import Doors, run_house  # noqa: PLC0415 - as above

    table = read(path)
    wants_grpc = "grpc" in os.environ.get("LISTEN_FDNAMES", "").split(":") or "TIFFIN_GRPC_PORT" in os.environ
    sockets = listeners(os.environ, grpc=wants_grpc)
    doors = Doors(
        http=sockets["http"],
        named=sockets.get(NAMED),
        metrics=sockets.get("metrics"),
        grpc=sockets.get("grpc"),
        patient=not table.wakes,
    )
    return run_house(doors, lambda loop, writer, _: Routed(path, table, loop, writer))


def _worker(document: Path, environment: Mapping[str, str]) -> int:
    _meeting(environment)
    argv = _worker_argv(document)
    os.execvpe(argv[0], argv, {**environment, "TIFFIN_WORKER_STAYS": "1"})  # noqa: S606 - the role is to become that program


def _meeting(environment: Mapping[str, str]) -> tuple[str, str]:
    path = environment.get("TIFFIN_WORKER_SOCKET", "")
    if not path:
        raise ValueError("the roles `front` and `worker` need TIFFIN_WORKER_SOCKET, the path of their Unix socket")
    return path, environment.get("TIFFIN_WORKER_TOKEN", "")


def _run(
    service: Service, sockets: dict[str, socket.socket], hall: socket.socket, token: str, children: Children | None
) -> int:
    from tiffin_serve.front.http.bearer import read_tokens  # noqa: PLC0415 - heavy; the worker has started by now
    from tiffin_serve.front.revision import Outfit  # noqa: PLC0415 - as above
    from tiffin_serve.front.server import Doors, run  # noqa: PLC0415 - as above

    return run(
        Doors(
            http=sockets["http"],
            metrics=sockets.get("metrics"),
            grpc=sockets.get("grpc"),
            patient=children is None and "TIFFIN_FRONT_WAITS" in os.environ,
        ),
        hall,
        Outfit(
            service=service,
            token=token,
            image=os.environ.get("TIFFIN_IMAGE", ""),
            children=children,
            tokens=read_tokens(os.environ) if service.serve.auth == "bearer" else None,
        ),
    )
