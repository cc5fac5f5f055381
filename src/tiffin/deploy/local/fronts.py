"""The front of one service, as the supervisor sees it: its holder, and what it says of its revisions."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tiffin.deploy.local import holder
from tiffin.deploy.local.table import Told
from tiffin.errors import ConfigError, ConflictError, UnavailableError

PATIENCE = 5.0
"""Seconds that a holder or a front has for an answer."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The front's process, 0 between two: whose order it is of, its age in seconds, how often it has ended soon.

    `holder` is the process that holds it.
    """

    pid: int
    stamp: str
    age: float
    ends: int = 0
    holder: int = 0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How a front is started: its program and environment; one with another `stamp` is to be renewed."""

    argv: tuple[str, ...]
    env: dict[str, str]
    stamp: str


class Fronts:
    """The holder of one service and its front, in a folder; the sockets are kept here too, and outlive them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sockets: dict[str, socket.socket] = {}

    def look(self) -> Seen | None:
        """The front's process; None where there is no holder, or it holds no front yet."""
        with contextlib.suppress(UnavailableError):
            answer = self._ask({})
            return msgspec.convert({**answer["front"], "holder": answer["pid"]}, Seen) if answer["front"] else None
        return None

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
                self._sockets = _listening(listeners)
            self._begin()
        return {name: one.getsockname()[:2] for name, one in self._sockets.items()}

    def hold_any(self, choices: Sequence[Mapping[str, tuple[str, int]]]) -> dict[str, tuple[str, int]]:
        """Have a holder with the first of these that can be listened at; raises ConflictError where none can."""
        for listeners in choices[:-1]:
            with contextlib.suppress(ConflictError):
                return self.hold(listeners)
        return self.hold(choices[-1])

    def hold_besides(self, name: str, place: tuple[str, int]) -> int:
        """Have the holder hold one socket more, for fronts that it starts from now on; gives its port.

        Raises ConflictError for a port that is taken.
        """
        if name not in self._sockets:
            self._take()
        if name not in self._sockets:
            opened = listen(*place)
            with _connected(self._folder / holder.CONTROL) as connection:
                socket.send_fds(connection, [json.dumps({"hold": name}).encode()], [opened.fileno()])
                packet = connection.recv(holder.PACKET)
            if not packet or name not in json.loads(packet)["names"]:
                opened.close()
                raise UnavailableError("the holder has ended", "try again")
            self._sockets[name] = opened
        return int(self._sockets[name].getsockname()[1])

    def serve(self, order: Order) -> None:
        """Have a front; one of another order finishes what it has, and is followed by this one."""
        self._ask({"serve": msgspec.to_builtins(order)})

    def end(self) -> None:
        """Let go of the sockets, when the front has finished."""
        with contextlib.suppress(UnavailableError):
            self._ask({"end": True})
        self.close()

    def close(self) -> None:
        """Keep the sockets no longer; the holder does."""
        for one in self._sockets.values():
            one.close()
        self._sockets = {}

    def told(self, patience: float = PATIENCE) -> Told | None:
        """What the front says of its revisions; None where it does not answer within so many seconds."""
        try:
            return msgspec.json.decode(self._http("GET", patience)[1], type=Told)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError):
            return None

    def tell(self) -> None:
        """Have the front read its table again; raises ConfigError with what is wrong with it.

        One that is not there reads it when it starts.
        """
        try:
            status, answer = self._http("POST")
        except (OSError, http.client.HTTPException):
            return
        if status != http.client.OK:
            why = _reason(answer)
            raise ConfigError(f"the front does not take its table: {why}", f"`cat {self._folder / holder.LOG}`")

    def _http(self, method: str, patience: float = PATIENCE) -> tuple[int, bytes]:
        connection = Local(self._folder / holder.ADMIN, patience)
        try:
            connection.request(method, "/table")
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _take(self) -> None:
        """Keep the sockets that the holder has, so that they outlive it."""
        with _connected(self._folder / holder.CONTROL) as connection:
            connection.send(b'{"sockets": true}')
            packet, descriptors, _, _ = socket.recv_fds(connection, holder.PACKET, 16)
        if not packet:
            raise UnavailableError("the holder has ended", "try again")
        for name, descriptor in zip(json.loads(packet)["names"], descriptors, strict=True):
            taken = socket.socket(fileno=descriptor)
            if self._sockets.setdefault(name, taken) is not taken:
                taken.close()

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


def _reason(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer)["error"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return answer.decode(errors="replace")[:200]


def _listening(listeners: Mapping[str, tuple[str, int]]) -> dict[str, socket.socket]:
    """Listen at all of these places, or at none."""
    with contextlib.ExitStack() as opened:
        sockets = {name: opened.enter_context(listen(*place)) for name, place in listeners.items()}
        opened.pop_all()
        return sockets


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
