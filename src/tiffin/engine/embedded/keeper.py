"""The keeper: the one process that stands by a container, and dies with it. Standard library only.

It is started by `container.EmbeddedContainer.start` and is nobody's child. Its working directory is the container's
folder; everything it knows of the outside are the descriptors it was given.

    plan      standard input, JSON: what to run
    lease     a socket to the starter: one message, "started" or why not; of an attached container its end means "stop"
    control   a socket in the folder: {"stop": seconds} and {"signal": number} come in, an empty message goes out
              whenever the log grew, and its end tells whoever waits that the container has exited, or that the signal
              was sent
    state.json, log.json    written here, read by everybody

The container's processes live in a pid namespace whose first process is the keeper's child, with SIGKILL as its parent
death signal: whatever ends the keeper, the kernel ends them all, and no container can opt out.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time

from tiffin.engine.embedded import linux, stage
from tiffin.engine.embedded.beside import Beside
from tiffin.engine.embedded.keeper_log import Log, now

CONTROL, STATE, LOG = "control", "state.json", "log.json"
MESSAGE = 4096
"""Bytes of the longest control message."""
_CHUNK = 1 << 16
_SIGNAL = 128
"""What is added to the number of the signal that ended a program, as shells do."""
_NOT_FOUND, _NOT_RUNNABLE = 127, 126
_OUT_OF_THE_WAY = 256
"""A descriptor's number that no program's own descriptors reach."""

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypedDict

    class Plan(TypedDict):
        """What the starter says: the container, the numbers of the descriptors it handed over, how to stop."""

        launch: stage.Launch
        lease: int
        folder: int
        listeners: list[int]
        ports: list[dict[str, object]]
        attached: bool
        stop_signal: int
        stop_seconds: float


def main() -> None:
    """Read the plan, leave the starter, keep one container until it has exited."""
    with open(0, "rb", closefd=False) as stream:
        plan: Plan = json.load(stream)
    if os.fork():
        os._exit(0)
    lease = socket.socket(fileno=plan["lease"])
    for descriptor in (plan["lease"], plan["folder"], *plan["listeners"]):
        os.set_inheritable(descriptor, False)
    try:
        Keeper(plan, lease).keep()
    except stage.Refused as refusal:
        _say(lease, {"error": refusal.kind, "message": str(refusal), "hint": refusal.hint})
        sys.exit(1)


class Keeper:
    """One container, from before its first process to after its last."""

    def __init__(self, plan: Plan, lease: socket.socket) -> None:
        self._plan, self._lease = plan, lease
        self._watched: dict[int, Callable[[], None]] = {}
        self._connections: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._program = 0
        self._kill_at: float | None = None
        self._started = ""
        self._failed = self._exited = False
        self._attached = plan["attached"]

    def keep(self) -> None:
        """Start the container and stand by it until it has exited."""
        _own_folder(self._plan["folder"])
        self._spawn()
        launch = self._plan["launch"]
        stage.become(launch["become"], launch["group"])
        self._open()
        while not self._exited:
            for descriptor, _ in self._poll.poll(self._patience()):
                self._watched.get(descriptor, _nothing)()
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._kill_at = None
                os.kill(self._child, signal.SIGKILL)
        self._finish()

    def _spawn(self) -> None:
        """Fork the process that becomes bubblewrap, first of its pid namespace."""
        self._out, out = os.pipe()
        self._err, err = os.pipe()
        self._report, report = os.pipe()
        self._status, status = os.pipe()
        self._gate, gate = socket.socketpair()
        launch = self._plan["launch"]
        self._beside = Beside(launch, self._plan["listeners"])
        if launch["become"] is not None:
            for descriptor in (out, err):  # so that a program may open /dev/stdout anew
                os.fchown(descriptor, launch["become"], launch["group"] or launch["become"])
        _leave(launch)
        self._beside.give([out, err])
        self._child = os.fork()
        if not self._child:
            self._gate.close()
            options = {"--block-fd": gate.fileno(), "--json-status-fd": status, **self._beside.options(gate.fileno())}
            handed = self._beside.handed
            _enter(launch, [_nowhere(), out, err], handed, stage.Tail(options, gate.fileno()), report)
        for descriptor in (out, err, report, status):
            os.close(descriptor)
        gate.close()
        self._beside.stand(lambda: _child_of(self._child), self._gate)
        self._failed = not _pushed(self._gate)

    def _open(self) -> None:
        """Begin to listen to everybody: the container, the starter, whoever connects, the machine that shuts down."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._log = Log(os.open(LOG, flags, 0o600))
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.bind(CONTROL)
        self._control.listen(_SIGNAL)
        for descriptor in (self._out, self._err, self._status):
            os.set_blocking(descriptor, False)
        self._watch(self._gate.fileno(), self._pass)
        self._watch(self._out, lambda: self._read("stdout", self._out))
        self._watch(self._err, lambda: self._read("stderr", self._err))
        self._watch(os.pidfd_open(self._child), self._reap)
        self._watch(self._lease.fileno(), self._released)
        self._watch(self._control.fileno(), self._accept)
        terminated = _signals(signal.SIGTERM)
        self._watch(terminated, lambda: self._terminated(terminated))

    def _watch(self, descriptor: int, action: Callable[[], None]) -> None:
        self._watched[descriptor] = action
        self._poll.register(descriptor, select.POLLIN)

    def _forget(self, descriptor: int) -> None:
        if self._watched.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def _patience(self) -> float | None:
        """Milliseconds until SIGKILL is due, if it is."""
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic()) * 1000

    def _read(self, stream: str, descriptor: int) -> None:
        data = os.read(descriptor, _CHUNK)
        if not data:
            self._forget(descriptor)
            return
        self._log.write(stream, data)
        for connection in self._connections.values():
            _ring(connection)

    def _pass(self) -> None:
        """The gate moved: bubblewrap took its byte and is about to run the program, or it died before."""
        descriptor = self._gate.fileno()
        try:
            ready = not self._gate.recv(1) and not self._failed
        except ConnectionResetError:
            ready = False
        self._forget(descriptor)
        if not ready:
            return  # the exit comes next
        self._program = _child_of(self._child)
        self._started = now()
        self._write_state("running", pid=self._program)
        _say(self._lease, {"started": True})
        if not self._attached:
            self._forget(self._lease.fileno())
            self._lease.close()

    def _released(self) -> None:
        """The starter is gone; one that is attached takes the container with it."""
        self._forget(self._lease.fileno())
        if self._attached:
            self._stop(self._plan["stop_seconds"])

    def _terminated(self, descriptor: int) -> None:
        """The machine shuts down, or somebody wants this keeper gone."""
        os.read(descriptor, _CHUNK)
        self._stop(self._plan["stop_seconds"])

    def _accept(self) -> None:
        connection, _ = self._control.accept()
        self._connections[connection.fileno()] = connection
        self._watch(connection.fileno(), lambda: self._hear(connection))
        _ring(connection)  # the log may have grown between its connecting and now

    def _hear(self, connection: socket.socket) -> None:
        """Do what a control message says; the connection ends when a signal was sent, and for nonsense."""
        try:
            message = json.loads(connection.recv(MESSAGE))
            if "stop" in message:
                self._stop(float(message["stop"]))
                return
            self._signal(int(message["signal"]))
        except (ValueError, KeyError, TypeError, OSError):
            pass
        descriptor = connection.fileno()
        self._forget(descriptor)
        self._connections.pop(descriptor).close()

    def _stop(self, seconds: float) -> None:
        due = time.monotonic() + max(0.0, seconds)
        self._kill_at = due if self._kill_at is None else min(due, self._kill_at)
        self._signal(self._plan["stop_signal"])

    def _signal(self, number: int) -> None:
        """Signal the program; one that does not run yet is killed at once by `_stop`'s deadline."""
        if not self._program:
            self._kill_at = time.monotonic()
        elif number == signal.SIGKILL:
            os.kill(self._child, number)
        elif _child_of(self._child) == self._program:  # bubblewrap has not reaped it, so the number is still its own
            _kill(self._program, number)

    def _reap(self) -> None:
        _, self._wait_status = os.waitpid(self._child, 0)
        self._beside.end()
        self._exited = True

    def _finish(self) -> None:
        """Say what happened: to the starter if it still waits, else in the state."""
        for listener in self._plan["listeners"]:  # a port is free again before anybody hears of the end
            os.close(listener)
        for stream, descriptor in (("stdout", self._out), ("stderr", self._err)):
            self._log.write(stream, _rest(descriptor), final=True)
        if self._started:
            code, reason = self._verdict()
            self._write_state("exited", pid=0, exit_code=code, finished=now(), reason=reason)
        self._control.close()  # before our exit hangs up on anybody: who hears of the end finds nobody to talk to
        # Whoever hears of the end may start it again at once; the control socket stays, soon it is the next keeper's.
        fcntl.flock(self._plan["folder"], fcntl.LOCK_UN)
        if not self._started:
            raise self._failure()

    def _failure(self) -> stage.Refused:
        """Why the container never ran: the stage's own refusal, or bubblewrap's words."""
        if text := _rest(self._report, blocking=True):
            return stage.Refused(*json.loads(text))
        words = self._log.said.removeprefix("bwrap: ") or f"status {self._wait_status}"
        return stage.Refused("denied" if "namespace" in words else "command", f"bubblewrap: {words}")

    def _verdict(self) -> tuple[int, str]:
        """The exit code, and why where the program was not even found."""
        code = os.waitstatus_to_exitcode(self._wait_status)
        if code < 0:
            return _SIGNAL - code, ""
        if b"exit-code" in _rest(self._status):
            return code, ""
        missing = os.strerror(errno.ENOENT) in self._log.said
        return (_NOT_FOUND if missing else _NOT_RUNNABLE), self._log.said.removeprefix("bwrap: execvp ")

    def _write_state(self, status: str, **more: object) -> None:
        """Let the state appear whole; only an exit is worth waiting for the disk, a crash ends all the rest."""
        state = {"status": status, "started": self._started, "ports": self._plan["ports"], **more}
        descriptor = os.open(f".{STATE}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.write(descriptor, json.dumps(state).encode())
        if status == "exited":
            os.fsync(descriptor)
        os.close(descriptor)
        os.rename(f".{STATE}", STATE)  # noqa: PTH104 - see `stage`


def _leave(launch: stage.Launch) -> None:
    """Leave the namespaces of whoever started us, as far as it is needed."""
    try:
        if launch["become"] is None:
            stage.enter_user_namespace(launch["maps"])
        linux.unshare(linux.CLONE_NEWPID)
    except OSError as error:
        raise stage.Refused("denied", f"no new namespace: {error.strerror}") from error


def _pushed(gate: socket.socket) -> bool:
    """Let bubblewrap go on; say whether it was there still."""
    try:
        return bool(gate.send(b"1"))
    except BrokenPipeError:
        return False


def _enter(launch: stage.Launch, streams: list[int], handed: list[int], tail: stage.Tail, report: int) -> None:
    """Become the container; what goes wrong on the way is reported and ends this process."""
    report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    try:
        stage.build(launch, own_processes=True)
        stage.become(launch["become"], launch["group"])
        if launch["user"]:
            stage.become(*launch["user"])
        stage.check_mounts(launch)
        stage.exec_bubblewrap(launch, streams, handed, tail)
    except stage.Refused as refusal:
        os.write(report, json.dumps([refusal.kind, str(refusal), refusal.hint]).encode())
    except OSError as error:
        os.write(report, json.dumps(["denied", f"cannot prepare the container: {error}", ""]).encode())
    finally:
        os._exit(1)


def _own_folder(descriptor: int) -> None:
    """Stand in the container's folder, alone: a second keeper of the same container is refused."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise stage.Refused("conflict", "the container runs already", "stop it first") from None
    os.fchdir(descriptor)
    if os.path.lexists(CONTROL):
        os.unlink(CONTROL)  # noqa: PTH108 - left by the keeper before; see `stage`


def _say(lease: socket.socket, message: dict[str, object]) -> None:
    """Tell the starter; one that is gone cannot be told."""
    try:
        lease.send(json.dumps(message).encode(), socket.MSG_NOSIGNAL)
    except OSError:
        return


def _ring(connection: socket.socket) -> None:
    """Tell a listener that the log grew; one that has not heard the last ring yet needs no other."""
    try:
        connection.send(b"\n", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return


def _signals(number: int) -> int:
    """Turn a signal into something to poll."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.set_blocking(read, False)
    signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _child_of(pid: int) -> int:
    """The only child of a process, or 0."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as stream:  # noqa: PTH123 - see `stage`
            return int((stream.read().split() or ["0"])[0])
    except OSError:  # it is gone, and its child with it
        return 0


def _rest(descriptor: int, *, blocking: bool = False) -> bytes:
    """What is left in a pipe now."""
    os.set_blocking(descriptor, blocking)
    parts = []
    try:
        while data := os.read(descriptor, _CHUNK):
            parts.append(data)
    except BlockingIOError:
        pass
    return b"".join(parts)


def _kill(pid: int, number: int) -> None:
    """Send a signal; a process that has just ended needs none."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _nowhere() -> int:
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def _nothing() -> None:
    """Do nothing for a descriptor that was forgotten while its event waited."""
