"""Holds the public sockets of one service, and the front that serves them. Standard library only; a program.

It is nobody's child: the supervisor may die, and the front goes on, and is started again by it. The sockets are opened
once and inherited by front after front; whoever connects meanwhile waits in the kernel's queue until one accepts. When
a holder dies, its front is told to finish (SIGTERM as the parent's death signal); the next one is given the same
sockets by the supervisor, which was given them when it first spoke to this one.

It is spoken to over `holder.sock`: a packet is a question in JSON, and the next one the answer.

    {}                                    {"pid": 6, "front": {"pid": 7, "stamp": "1.0", "age": 1.5, "ends": 0}, ...}
    {"serve": {"argv": [...], "env": {...}, "stamp": "1.0"}}
                                          have a front; one with another stamp finishes, and is followed by this one
    {"sockets": true}                     the sockets by name, with their descriptors
    {"hold": "grpc"}                      one socket more, whose descriptor comes along, for fronts from now on
    {"end": true}                         let the front finish, and end when it has
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time

TYPE_CHECKING = False  # `typing` is not needed, and this process stays small
if TYPE_CHECKING:
    from typing import Any, NoReturn

CONTROL, LOCK, LOG, ADMIN = "holder.sock", "holder.lock", "front.log", "front.sock"
PACKET = 1 << 16
FIRST = 3
"""The descriptor of the first socket that is handed on (sd_listen_fds(3))."""
PAUSES = (0.0, 0.1, 0.5, 2.0, 5.0)
"""Seconds before the front is started again, by how often it ended soon."""
SOON = 10.0
LONGEST_LOG = 4 << 20
HANDLED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP}
_FAR = 100
_DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 1, 38


class Front:
    """How the front is started, and what became of the one that is there; `stamp` says whose order that one was."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.stamp = ""
        self.pid = 0
        self.began = 0.0
        self.ends = 0
        self.due = 0.0


class Holder:
    """The sockets, the front, and a loop."""

    def __init__(self, listeners: dict[str, socket.socket], lock: int) -> None:
        self._listeners, self._lock = listeners, lock
        self._front: Front | None = None
        self._connections: dict[int, socket.socket] = {}
        self._ending = False
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(CONTROL)  # noqa: PTH108 - `pathlib` is not needed here
        self._control.bind(CONTROL)
        self._control.listen(16)
        self._woken, waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def hold(self) -> None:
        """Hold until told to end, and the front has."""
        while not (self._ending and self._front is None):
            front = self._front
            waiting = front is not None and not front.pid
            patience = max(front.due - time.monotonic(), 0.0) if front is not None and waiting else None
            if self._ending:
                self._step_back()
            listening = [] if self._ending else [self._control.fileno()]
            watched = [*listening, self._woken, *self._connections]
            for ready in select.select(watched, [], [], patience)[0]:
                if ready in listening:
                    connection, _ = self._control.accept()
                    self._connections[connection.fileno()] = connection
                elif ready == self._woken:
                    os.read(self._woken, PACKET)
                else:
                    self._hear(self._connections[ready])
            self._reap()
            self._start_due()

    def _step_back(self) -> None:
        """Leave the sockets to the front that finishes, and the folder to the next holder."""
        if self._lock >= 0:
            self._control.close()
            for listener in self._listeners.values():
                listener.close()
            os.close(self._lock)
            self._lock = -1

    def _hear(self, connection: socket.socket) -> None:
        try:
            packet, descriptors, _, _ = socket.recv_fds(connection, PACKET, 1)
            handed = [socket.socket(fileno=descriptor) for descriptor in descriptors]
            if packet:
                self._answer(connection, json.loads(packet), handed)
                return
        except (OSError, ValueError, KeyError, IndexError):
            pass
        del self._connections[connection.fileno()]
        connection.close()

    def _answer(self, connection: socket.socket, question: dict[str, Any], handed: list[socket.socket]) -> None:
        descriptors: list[int] = []
        if "serve" in question:
            self._serve(question["serve"])
        elif "sockets" in question:
            descriptors = [listener.fileno() for listener in self._listeners.values()]
        elif "hold" in question and not self._ending:
            self._listeners.setdefault(question["hold"], handed[0])
        elif "end" in question:
            self._end()
        answer = {
            "pid": os.getpid(),
            "front": _told(self._front) if self._front is not None else None,
            "names": list(self._listeners),
        }
        socket.send_fds(connection, [json.dumps(answer).encode()], descriptors)

    def _serve(self, order: dict[str, Any]) -> None:
        front = self._front
        if self._ending:
            return
        if front is None:
            self._front = Front(order)
        elif order["stamp"] not in {front.stamp, front.order["stamp"]}:
            self._finish(front)  # the next one takes the requests that wait at the socket
        if self._front is not None:
            self._front.order = order
        self._start_due()

    def _end(self) -> None:
        self._ending = True
        if self._front is not None and self._front.pid:
            self._finish(self._front)
        else:
            self._front = None

    def _finish(self, front: Front) -> None:
        if front.pid:
            os.kill(front.pid, signal.SIGTERM)  # ours and not reaped, so the number is its own

    def _reap(self) -> None:
        front = self._front
        if front is None or not front.pid or not os.waitpid(front.pid, os.WNOHANG)[0]:
            return
        front.pid = 0
        if self._ending:
            self._front = None
            return
        now = time.monotonic()
        asked_to = front.stamp != front.order["stamp"]
        front.ends = front.ends + 1 if now - front.began < SOON and not asked_to else 0
        front.due = now + PAUSES[min(front.ends, len(PAUSES) - 1)]

    def _start_due(self) -> None:
        now, front = time.monotonic(), self._front
        if front is None or front.pid or front.due > now or self._ending:
            return
        front.began, front.stamp = now, front.order["stamp"]
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # until the front handles none as we do
        front.pid = os.fork()
        if not front.pid:
            _become(front.order, self._listeners)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def _told(front: Front) -> dict[str, Any]:
    age = time.monotonic() - front.began
    return {"pid": front.pid, "stamp": front.stamp, "age": age, "ends": front.ends}


def _become(order: dict[str, Any], listeners: dict[str, socket.socket]) -> NoReturn:
    """Become a front, in this folder, with the sockets and an own one to be asked at."""
    try:
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        os.setsid()
        process = ctypes.CDLL(None, use_errno=True)
        process.prctl(_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)
        process.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        admin = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ADMIN)  # noqa: PTH108 - as above
        admin.bind(ADMIN)
        admin.listen(16)
        handed = {**listeners, "metrics": admin}
        _hand(list(handed.values()))
        environment = {**order["env"], "LISTEN_FDS": str(len(handed)), "LISTEN_FDNAMES": ":".join(handed)}
        os.execve(order["argv"][0], order["argv"], environment)  # noqa: S606 - an argument list of ours
    except BaseException as error:  # noqa: BLE001 - it is said where the front's words are read
        os.write(2, f"tiffin: no front: {error}\n".encode())
    os._exit(1)


def _hand(sockets: list[socket.socket]) -> None:
    """Put the sockets where they are expected, words into the log, and keep nothing else open."""
    far = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, _FAR) for one in sockets]
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fstat(log).st_size > LONGEST_LOG:
        os.ftruncate(log, 0)
    for number, descriptor in enumerate((nothing, log, log)):
        os.dup2(descriptor, number)
    for number, descriptor in enumerate(far, FIRST):
        os.dup2(descriptor, number)
    os.closerange(FIRST + len(far), _FAR + 64)


def main() -> int:
    """Read which sockets there are, and hold them; in this folder one holder at a time."""
    names = json.loads(sys.argv[1])
    listeners = {name: socket.socket(fileno=descriptor) for name, descriptor in names.items()}
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 1
    if os.fork():
        os._exit(0)
    holder = Holder(listeners, lock)
    os.write(1, b"ready\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    holder.hold()
    return 0


if __name__ == "__main__":
    sys.exit(main())
