"""A container of the embedded engine, seen from outside: its folder, and its keeper's socket while it runs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal as signals
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from tiffin.engine import screen
from tiffin.engine.embedded import accounts, cgroup, keeper, secrets, stage
from tiffin.engine.embedded import exec as exec_
from tiffin.engine.embedded.attach import Attachment
from tiffin.engine.embedded.audience import MESSAGE
from tiffin.engine.embedded.begin import heard, reach
from tiffin.engine.embedded.denied import denied
from tiffin.engine.embedded.folder import Folders, absent, read_spec
from tiffin.engine.embedded.ids import identity
from tiffin.engine.embedded.keepers import Begin, execute
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.ports import bound, listen
from tiffin.engine.embedded.usage import usage_of
from tiffin.engine.keys import parse_keys
from tiffin.engine.refused import does_not_run, runs_already, still_runs, was_not_started
from tiffin.engine.spec import KILLED, Command, ContainerSpec, Limits, LogLine, State, Status, Streams, Usage
from tiffin.errors import (
    CommandError,
    ConfigError,
    ConflictError,
    DeniedError,
    TiffinError,
    UnavailableError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from tiffin.engine.embedded.copying import Files

_PATIENCE = 5.0
"""Seconds that a keeper gets beyond the container's own, before it is killed and takes the container with it."""
_ERRORS: dict[str, type[TiffinError]] = {
    kind.code: kind for kind in (ConfigError, ConflictError, CommandError, UnsupportedError)
}
_MESSAGE = 1 << 16


class _Entry(msgspec.Struct, frozen=True):
    """A line of the log as docker's json-file driver writes it."""

    log: str
    stream: str
    time: str


# Made here, since threads that first met a type at once would crash msgspec 0.22.
_STATES, _ENTRIES = msgspec.json.Decoder(State), msgspec.json.Decoder(_Entry)


class EmbeddedContainer:
    """A container in a folder; every question is answered by the folder and the keeper, nothing is remembered here."""

    def __init__(
        self,
        folders: Folders,
        path: Path,
        decide: Callable[[ContainerSpec, Path], stage.Launch],
        begin: Begin = execute,
    ) -> None:
        """`begin` is how its keeper is begun."""
        self._folders, self._path, self._decide, self._begin = folders, path, decide, begin
        self._run = path / "run"
        self._lease: socket.socket | None = None
        self.spec = read_spec(path)
        self.id = path.name

    def start(self, *, attached: bool = False) -> None:
        """Start it under a keeper of its own (see `Container.start`)."""
        self._start(attached=attached)

    def run(self, streams: Streams, detach_keys: str, started: Callable[[], None]) -> int | None:
        """Start it and attach to it (see `CanAttach.run`)."""
        keys = parse_keys(detach_keys)
        self._start(attached=True, awaited=True, size=screen.size(streams.stdin, streams.stdout))
        started()
        code = self._attach(streams, keys, ends=True)
        if code is None and self._lease is not None:
            self._lease.send(b"goes on")
            self._release()
        return code

    def attach(self, streams: Streams, detach_keys: str) -> int | None:
        """Attach to it (see `CanAttach`)."""
        return self._attach(streams, parse_keys(detach_keys), ends=False)

    def _attach(self, streams: Streams, keys: bytes, *, ends: bool) -> int | None:
        with self._kept():
            connection = self._connect()
            if connection is None:
                raise does_not_run(self.spec.name)
            with connection:
                ended = Attachment(connection, self.spec, streams, ends=ends).relay(keys)
            return self.wait() if ended else None

    def _start(self, *, attached: bool, awaited: bool = False, size: tuple[int, int] = screen.USUAL) -> None:
        if self.state().status is Status.RUNNING:
            raise runs_already(self.spec.name)
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
            given = secrets.read(self.spec.secrets, launch["secrets"], opened)
            ports = [bound(port, listener) for port, listener in zip(self.spec.ports, listeners, strict=True)]
            plan = plan_of(self.spec, self._path, launch)
            plan |= {"lease": theirs.fileno(), "folder": folder, "secrets": given}
            plan |= {"listeners": [listener.fileno() for listener in listeners], "ports": msgspec.to_builtins(ports)}
            plan |= {"attached": attached, "awaited": awaited, "terminal": size if self.spec.tty else None}
            self._begin(plan, words)
            theirs.close()
            self._await(heard(lease), words)
            if attached:
                self._lease = lease.dup()  # open until the end is seen, or until this process dies

    def _await(self, answer: dict[str, object], words: int) -> None:
        """Raise what the keeper says, unless that is that the container runs."""
        if answer.get("started"):
            return
        if not answer:
            said = os.pread(words, _MESSAGE, 0).decode(errors="replace").strip().splitlines()
            raise UnavailableError(f"the keeper of {self.spec.name} died: {(said or ['killed'])[-1]}", "start it again")
        kind, message, hint = (str(answer[name]) for name in ("error", "message", "hint"))
        if kind == DeniedError.code:
            raise denied(message)
        raise _ERRORS[kind](f"{self.spec.name}: {message}", hint or None)

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
            raise does_not_run(self.spec.name)
        with connection:
            with contextlib.suppress(OSError):  # it has just exited
                connection.send(json.dumps({"signal": int(number)}).encode())
            _ended(connection, None)  # a message whose sender hangs up first may be lost
        if number == signals.SIGKILL:
            self.wait()

    def wait(self) -> int:
        """Wait for its end (see `Container.wait`)."""
        with self._kept():
            if connection := self._connect():
                with connection:
                    _ended(connection, None)
            state = self.state()
        self._release()
        if state.exit_code is None:
            raise was_not_started(self.spec.name)
        return state.exit_code

    def _release(self) -> None:
        if self._lease is not None:
            self._lease.close()
            self._lease = None

    def exec(self, command: Command, streams: Streams | None) -> int:
        """Run a further program in it (see `CanExec`)."""
        if accounts.told_by_name(self.spec, command.user):
            with self._files() as files:
                command = accounts.with_numbers(command, files)
        exec_.check(self.spec, command)
        with self._process() as (pid, process):
            if streams is None:
                return exec_.leave(pid, process, self.spec, command)
            return exec_.run(pid, process, self.spec, command, streams)

    def copy_out(self, path: str, target: str) -> None:
        """Copy to this machine (see `CanCopy`)."""
        with self._files() as files:
            files.copy_out(path, target)

    def copy_in(self, source: str, path: str) -> None:
        """Copy from this machine (see `CanCopy`)."""
        with self._files() as files:
            files.copy_in(source, path)

    def tar_out(self, path: str, out: BinaryIO) -> None:
        """Write a tar of what it has (see `CanCopy`)."""
        with self._files() as files:
            files.tar_out(path, out)

    def tar_in(self, stream: BinaryIO, path: str) -> None:
        """Take a tar in (see `CanCopy`)."""
        with self._files() as files:
            files.tar_in(stream, path)

    @contextlib.contextmanager
    def _files(self) -> Iterator[Files]:
        from tiffin.engine.embedded.copying import Files  # noqa: PLC0415 - tarfile would delay every first byte

        machine = Machine.here()
        who = identity(self.spec, machine.become, machine.ids)
        with self._process() as (_, process):
            yield Files(process, self.spec.name, who.host, several=who.maps is not None)

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
                raise does_not_run(self.spec.name)
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
        with contextlib.ExitStack() as opened:
            opened.enter_context(self._kept())
            connection = self._connect() if follow else None
            opened.enter_context(connection or contextlib.nullcontext())
            try:
                stream = _open(self._run / keeper.LOG)
            except FileNotFoundError:
                return
            with stream:
                yield from _lines(stream)
                while connection and _rang(connection):
                    yield from _lines(stream)
                yield from _lines(stream)

    def remove(self, *, force: bool = False) -> None:
        """Forget it (see `Container.remove`)."""
        if self.state().status is Status.RUNNING:
            if not force:
                raise still_runs(self.spec.name)
            self.stop(0)
        if self.spec.limits != Limits():  # what a keeper left that was killed, and its steward
            cgroup.sweep(self.id, cgroup.here())
        self._folders.remove(self._path)

    def _written(self) -> State:
        """The state as the keeper wrote it last; what a crash of the machine left half-written says nothing."""
        try:
            with _open(self._run / keeper.STATE) as stream:
                return _STATES.decode(stream.read())
        except FileNotFoundError:
            if not self._path.exists():
                raise absent(self.spec.name) from None
            return State()
        except msgspec.MsgspecError:
            return State()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep it here while its end is read, where it is removed by that (see `steward`)."""
        try:
            folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise absent(self.spec.name) from None
        try:
            fcntl.flock(folder, fcntl.LOCK_SH)
            yield
        finally:
            os.close(folder)

    def _answers(self) -> bool:
        connection = self._connect()
        if connection:
            connection.close()
        return connection is not None

    def _connect(self) -> socket.socket | None:
        """Talk to the keeper, if there is one."""
        try:
            folder = os.open(self._run, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            raise absent(self.spec.name) from None
        try:
            return reach(folder)
        finally:
            os.close(folder)


def plan_of(spec: ContainerSpec, path: Path, launch: stage.Launch) -> keeper.Plan:
    """What a keeper is told of a container in a folder, all but what is opened for it and who looks on."""
    return {
        "id": path.name,
        "name": spec.name,
        "path": str(path),
        "launch": launch,
        "lease": -1,
        "folder": -1,
        "listeners": [],
        "ports": [],
        "attached": False,
        "awaited": False,
        "terminal": None,
        "stdin": spec.stdin,
        "stop_signal": int(signals.Signals[spec.stop_signal]),
        "stop_seconds": spec.stop_seconds,
        "limits": msgspec.to_builtins(spec.limits),
        "memory_places": ["/tmp", "/dev/shm", *spec.tmpfs],  # noqa: S108 - the container's own
        "secrets": [],
        "restart": (spec.restart.policy.value, spec.restart.tries),
        "remove": spec.remove,
    }


def _ended(connection: socket.socket, seconds: float | None) -> bool:
    """Wait until the keeper hangs up, which it does when it exits; say whether it did within the time."""
    due = None if seconds is None else time.monotonic() + seconds
    while True:
        connection.settimeout(None if due is None else max(0.001, due - time.monotonic()))
        try:
            if not connection.recv(MESSAGE):
                return True
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True


def _rang(connection: socket.socket) -> bool:
    """Wait for the keeper's ring; says whether it lives on."""
    try:
        return bool(connection.recv(MESSAGE))
    except ConnectionResetError:  # it ended before it had taken this connection in
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
