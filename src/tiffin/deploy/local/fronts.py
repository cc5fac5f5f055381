"""The fronts of one service, as the supervisor sees them: their holder, and what each says of its workers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tiffin.deploy.local import holder
from tiffin.errors import ConflictError, UnavailableError

PATIENCE = 5.0
"""Seconds that a holder or a front has for an answer."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A front that runs: whether it takes requests, since when it runs, how often it has ended soon."""

    pid: int
    open: bool
    began: float
    ends: int = 0


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """What a front says: since when an instance may predict, why another may not, and how requests went."""

    ready: dict[str, float] = {}
    failures: dict[str, str] = {}
    in_flight: int = 0
    queued: int = 0
    requests: int = 0
    errors: int = 0
    p99: float = 0.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How a front is started: its program, its environment, and the folder of its revision."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str


class Fronts:
    """The holder of one service, in a folder; the sockets are kept here too, and outlive it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sockets: dict[str, socket.socket] = {}

    def look(self) -> dict[int, Seen]:
        """Every front by its revision; none where there is no holder."""
        with contextlib.suppress(UnavailableError):
            return self._fronts(self._ask({}))
        return {}

    def pid(self) -> int:
        """The holder's process; 0 where there is none."""
        with contextlib.suppress(UnavailableError):
            return int(self._ask({})["pid"])
        return 0

    def hold(self, listeners: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        """Have a holder, and say where it listens; raises ConflictError for a port that is taken.

        One that is there is asked for its sockets; one that has died is followed by another with the same ones.
        """
        try:
            self._take()
        except UnavailableError:
            if not self._sockets:
                self._sockets = {name: listen(*place) for name, place in listeners.items()}
            self._begin()
        return {name: one.getsockname()[:2] for name, one in self._sockets.items()}

    def start(self, revision: int, order: Order) -> None:
        """Start the front of a revision, unless there is one."""
        self._ask({"start": str(revision), **msgspec.to_builtins(order)})

    def stop(self, revision: int) -> None:
        """Let the front of a revision finish what it has."""
        self._ask({"stop": str(revision)})

    def end(self) -> None:
        """Let go of the sockets, when all fronts have finished."""
        with contextlib.suppress(UnavailableError):
            self._ask({"end": True})
        self.close()

    def close(self) -> None:
        """Keep the sockets no longer; the holder does."""
        for one in self._sockets.values():
            one.close()
        self._sockets = {}

    def workers(self, folder: Path) -> Workers | None:
        """What the front of a revision says; None where it does not answer."""
        connection = Local(folder / holder.ADMIN, PATIENCE)
        try:
            connection.request("GET", "/workers")
            return msgspec.json.decode(connection.getresponse().read(), type=Workers)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError):
            return None
        finally:
            connection.close()

    def _take(self) -> None:
        """Keep the sockets that the holder has, so that they outlive it."""
        with _connected(self._folder / holder.CONTROL) as connection:
            connection.send(b'{"sockets": true}')
            packet, descriptors, _, _ = socket.recv_fds(connection, holder.PACKET, 16)
        if not packet:
            raise UnavailableError("the holder has ended", "try again")
        taken = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        if self._sockets:
            for one in taken:
                one.close()
        else:
            self._sockets = dict(zip(json.loads(packet)["names"], taken, strict=True))

    def _begin(self) -> None:
        """Start a holder and wait until it can be spoken to; it is nobody's child, and stays."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = {name: one.fileno() for name, one in self._sockets.items()}
        started = subprocess.run(
            [sys.executable, "-I", "-S", holder.__file__, json.dumps(numbers)],
            cwd=self._folder,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            pass_fds=list(numbers.values()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
        if not started.stdout:
            raise UnavailableError(f"the holder of the sockets in {self._folder} did not start", "try again")

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        with _connected(self._folder / holder.CONTROL) as connection:
            connection.send(json.dumps(question).encode())
            packet = connection.recv(holder.PACKET)
        if not packet:
            raise UnavailableError("the holder has ended", "try again")
        answer: dict[str, Any] = json.loads(packet)
        return answer

    def _fronts(self, answer: Mapping[str, Any]) -> dict[int, Seen]:
        return {int(key): msgspec.convert(front, Seen) for key, front in answer["fronts"].items()}


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address; raises ConflictError for one that is taken."""
    try:  # with SO_REUSEADDR
        return socket.create_server((host, port), backlog=4096)
    except OSError as error:
        raise ConflictError(
            f"cannot listen on {host}:{port}: {error.strerror}", "free the port, or choose another"
        ) from error


def reached(path: Path, kind: socket.SocketKind) -> socket.socket:
    """Connect to a Unix socket, whose address must be short: a descriptor leads to its folder; raises OSError."""
    connection = socket.socket(socket.AF_UNIX, kind)
    connection.settimeout(PATIENCE)
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    try:
        with reached(path, socket.SOCK_SEQPACKET) as connection:
            yield connection
    except OSError as error:
        raise UnavailableError(f"nobody holds the sockets in {path.parent}: {error.strerror}", "try again") from error


class Local(http.client.HTTPConnection):
    """HTTP over a Unix socket; an answer may take so many seconds."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path, self._seconds = path, seconds

    def connect(self) -> None:
        """Connect to the socket; raises OSError."""
        self.sock = reached(self._path, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
