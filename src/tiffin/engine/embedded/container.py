"""A container of the embedded engine, seen from outside: its folder, and its keeper's socket while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal as signals
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.engine.embedded import copying, keeper, stage
from tiffin.engine.embedded import exec as exec_
from tiffin.engine.embedded.denied import denied
from tiffin.engine.embedded.folder import Folders, read_spec
from tiffin.engine.embedded.launch import python
from tiffin.engine.embedded.ports import bound, listen
from tiffin.engine.embedded.usage import usage_of
from tiffin.engine.spec import KILLED, Command, ContainerSpec, LogLine, State, Status, Streams, Usage
from tiffin.errors import CommandError, ConfigError, ConflictError, DeniedError, TiffinError, UnavailableError

_PATIENCE = 5.0
"""Seconds that a keeper gets beyond the container's own, before it is killed and takes the container with it."""
_ERRORS: dict[str, type[TiffinError]] = {kind.code: kind for kind in (ConfigError, ConflictError, CommandError)}
_MESSAGE = 1 << 16


class _Entry(msgspec.Struct, frozen=True):
    """A line of the log as docker's json-file driver writes it."""

    log: str
    stream: str
    time: str


_STATES, _ENTRIES = msgspec.json.Decoder(State), msgspec.json.Decoder(_Entry)


class EmbeddedContainer:
    """A container in a folder; every question is answered by the folder and the keeper, nothing is remembered here."""

    def __init__(self, folders: Folders, path: Path, decide: Callable[[ContainerSpec, Path], stage.Launch]) -> None:
        self._folders, self._path, self._decide = folders, path, decide
        self._run = path / "run"
        self._lease = -1
        self.spec = read_spec(path)
        self.id = path.name

    def start(self, *, attached: bool = False) -> None:
        """Start it under a keeper of its own (see `Container.start`)."""
        if self.state().status is Status.RUNNING:
            raise ConflictError(f"{self.spec.name} runs already", f"stop it: `tiffin stop {self.spec.name}`")
        launch = self._decide(self.spec, self._path / "root")
        lease, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as opened:
            opened.enter_context(lease)
            opened.enter_context(theirs)
            listeners = [opened.enter_context(listen(port, self.spec.name)) for port in self.spec.ports]
            folder = os.open(self._run, os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, folder)
            words = os.memfd_create("tiffin")
            opened.callback(os.close, words)
            _spawn(self._plan(launch, theirs, folder, listeners, attached=attached), words)
            theirs.close()
            self._await(lease, words)
            if attached:
                self._lease = lease.detach()  # open until the end is seen, or until this process dies

    def _plan(
        self, launch: stage.Launch, lease: socket.socket, folder: int, listeners: list[socket.socket], *, attached: bool
    ) -> keeper.Plan:
        ports = [bound(port, listener) for port, listener in zip(self.spec.ports, listeners, strict=True)]
        return {
            "launch": launch,
            "lease": lease.fileno(),
            "folder": folder,
            "listeners": [listener.fileno() for listener in listeners],
            "ports": msgspec.to_builtins(ports),
            "attached": attached,
            "stop_signal": int(signals.Signals[self.spec.stop_signal]),
            "stop_seconds": self.spec.stop_seconds,
        }

    def _await(self, lease: socket.socket, words: int) -> None:
        """Hear from the keeper that the container runs, or raise what it says."""
        try:
            answer = json.loads(lease.recv(_MESSAGE) or b"{}")
        except OSError:
            answer = {}
        if answer.get("started"):
            return
        if not answer:
            said = os.pread(words, _MESSAGE, 0).decode(errors="replace").strip().splitlines()
            raise UnavailableError(f"the keeper of {self.spec.name} died: {(said or ['killed'])[-1]}", "start it again")
        if answer["error"] == DeniedError.code:
            raise denied(answer["message"])
        raise _ERRORS[answer["error"]](f"{self.spec.name}: {answer['message']}", answer["hint"] or None)

    def stop(self, seconds: float | None = None) -> None:
        """Stop it; a keeper that does not react is killed, which ends the container too."""
        patience = self.spec.stop_seconds if seconds is None else seconds
        connection = self._connect()
        if connection is None:
            return
        with connection:
            with contextlib.suppress(OSError):  # it has just exited
                connection.send(json.dumps({"stop": patience}).encode())
            if not _ended(connection, patience + _PATIENCE):
                os.kill(_peer(connection), signals.SIGKILL)
                _ended(connection, None)

    def kill(self, signal: str = "SIGKILL") -> None:
        """Have the keeper send a signal (see `Container.kill`)."""
        number = signals.Signals[signal]
        connection = self._connect()
        if connection is None:
            raise ConflictError(f"{self.spec.name} does not run", f"start it: `tiffin start {self.spec.name}`")
        with connection:
            with contextlib.suppress(OSError):  # it has just exited
                connection.send(json.dumps({"signal": int(number)}).encode())
            _ended(connection, None)  # a message whose sender hangs up first may be lost
        if number == signals.SIGKILL:
            self.wait()

    def wait(self) -> int:
        """Wait for its end (see `Container.wait`)."""
        if connection := self._connect():
            with connection:
                _ended(connection, None)
        if self._lease >= 0:
            os.close(self._lease)
            self._lease = -1
        state = self.state()
        if state.exit_code is None:
            raise ConflictError(f"{self.spec.name} was not started", f"start it: `tiffin start {self.spec.name}`")
        return state.exit_code

    def exec(self, command: Command, streams: Streams) -> int:
        """Run a further program in it (see `CanExec`)."""
        exec_.check(self.spec, command)
        with self._process() as (pid, process):
            return exec_.run(pid, process, self.spec, command, streams)

    def copy_out(self, path: str, target: str) -> None:
        """Copy to this machine (see `CanCopy`)."""
        with self._process() as (_, process):
            copying.copy_out(process, self.spec, path, target)

    def copy_in(self, source: str, path: str) -> None:
        """Copy from this machine (see `CanCopy`)."""
        with self._process() as (_, process):
            copying.copy_in(process, self.spec, source, path)

    def usage(self) -> Usage:
        """Add up what its processes use."""
        with self._process() as (_, process):
            return usage_of(process)

    @contextlib.contextmanager
    def _process(self) -> Iterator[tuple[int, int]]:
        """Its first process: the number, and a descriptor of /proc/PID that never means another process."""
        pid = self.state().pid
        try:
            process = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if pid else -1
        except FileNotFoundError:
            process = -1
        try:
            if process < 0 or self.state().pid != pid:
                raise ConflictError(f"{self.spec.name} does not run", f"start it: `tiffin start {self.spec.name}`")
            yield pid, process
        finally:
            if process >= 0:
                os.close(process)

    def state(self) -> State:
        """Read what the keeper wrote; where it says "running" but nobody answers, it was killed with its container."""
        state = self._written()
        if state.status is Status.RUNNING and not self._answers():
            state = self._written()  # it may have ended between the two questions
        if state.status is not Status.RUNNING or self._answers():
            return state
        return msgspec.structs.replace(
            state, status=Status.EXITED, pid=0, exit_code=KILLED, reason="its keeper was killed, and it with it"
        )

    def logs(self, *, follow: bool = False) -> Iterator[LogLine]:
        """Read its log; following, wait for the keeper's ring and read on."""
        connection = self._connect() if follow else None
        with connection or contextlib.nullcontext():
            try:
                stream = _open(self._run / keeper.LOG)
            except FileNotFoundError:
                return
            with stream:
                yield from _lines(stream)
                while connection and _rung(connection):
                    yield from _lines(stream)
                yield from _lines(stream)

    def remove(self, *, force: bool = False) -> None:
        """Forget it (see `Container.remove`)."""
        if self.state().status is Status.RUNNING:
            if not force:
                raise ConflictError(
                    f"{self.spec.name} is running", f"stop it first, or `tiffin rm -f {self.spec.name}`"
                )
            self.stop(0)
        self._folders.remove(self._path)

    def _written(self) -> State:
        """The state as the keeper wrote it last; what a crash of the machine left half-written says nothing."""
        try:
            with _open(self._run / keeper.STATE) as stream:
                return _STATES.decode(stream.read())
        except (FileNotFoundError, msgspec.MsgspecError):
            return State()

    def _answers(self) -> bool:
        connection = self._connect()
        if connection:
            connection.close()
        return connection is not None

    def _connect(self) -> socket.socket | None:
        """Talk to the keeper, if there is one; its address goes through a descriptor, since they must be short."""
        folder = os.open(self._run, os.O_PATH | os.O_DIRECTORY)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{keeper.CONTROL}")
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        finally:
            os.close(folder)
        return connection


def _spawn(plan: keeper.Plan, words: int) -> None:
    """Start a keeper in a session of its own and let go of it: it forks away from us at once."""
    paper = os.memfd_create("tiffin")
    try:
        os.write(paper, json.dumps(plan).encode())
        os.lseek(paper, 0, os.SEEK_SET)
        subprocess.run(
            python("keeper"),
            stdin=paper,
            stdout=subprocess.DEVNULL,
            stderr=words,
            cwd="/",
            pass_fds=(plan["lease"], plan["folder"], *plan["listeners"]),
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(paper)


def _ended(connection: socket.socket, seconds: float | None) -> bool:
    """Wait until the keeper hangs up, which it does when it exits; say whether it did within the time."""
    due = None if seconds is None else time.monotonic() + seconds
    while True:
        connection.settimeout(None if due is None else max(0.001, due - time.monotonic()))
        try:
            if not connection.recv(keeper.MESSAGE):
                return True
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True


def _rung(connection: socket.socket) -> bool:
    """Wait for the keeper's ring; say whether there may be another, which one that just exits does not give."""
    try:
        return bool(connection.recv(keeper.MESSAGE))
    except ConnectionResetError:
        return False


def _peer(connection: socket.socket) -> int:
    """Who listens at the other end, as the kernel knows it; alive, since the connection is."""
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)


def _open(path: Path) -> BinaryIO:
    """Open what lies in a folder that belongs to the container's user, where a link might lead anywhere."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def _lines(stream: BinaryIO) -> Iterator[LogLine]:
    """Read the whole lines there are; one that is still being written waits for the next time."""
    while True:
        place, line = stream.tell(), stream.readline()
        if not line.endswith(b"\n"):
            stream.seek(place)
            return
        entry = _ENTRIES.decode(line)
        yield LogLine(time=entry.time, stream=entry.stream, text=entry.log.removesuffix("\n"))
