"""Holds the public sockets of one service, and the fronts that serve them. Standard library only; a program.

It is nobody's child: the supervisor may die, and the fronts go on, and are started again by it. The sockets are opened
once and inherited by front after front, which may be several at a time; whoever connects waits in the kernel's queue
until one accepts. When a holder dies, its fronts are told to finish (SIGTERM as the parent's death signal); the next
one is given the same sockets by the supervisor, which was given them when it first spoke to this one.

It is spoken to over `holder.sock`: a packet is a question in JSON, and the next one the answer.

    {}                                          {"pid": 6, "fronts": {"3": {"pid": 7, "open": true, "began": 1.0, ...}}}
    {"start": "3", "argv": [...], "env": {...}, "cwd": "..."}
    {"stop": "3"}                               let it finish, and start it no more
    {"sockets": true}                           the sockets by name, with their descriptors
    {"end": true}                               stop all, and end when they have
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
"""Seconds before a front is started again, by how often it ended soon."""
SOON = 10.0
LONGEST_LOG = 4 << 20
HANDLED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP}
_FAR = 100
_DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 1, 38


class Front:
    """One front: how it is started, and what became of it."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.pid = 0
        self.open = True
        self.began = 0.0
        self.ends = 0
        self.due = 0.0


class Holder:
    """The sockets, the fronts, and a loop."""

    def __init__(self, listeners: dict[str, socket.socket], lock: int) -> None:
        self._listeners, self._lock = listeners, lock
        self._fronts: dict[str, Front] = {}
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
        """Hold until told to end, and all fronts have."""
        while not (self._ending and not self._fronts):
            waiting = [front.due for front in self._fronts.values() if not front.pid]
            patience = max(min(waiting) - time.monotonic(), 0.0) if waiting else None
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
        """Leave the sockets to the fronts that finish, and the folder to the next holder."""
        if self._lock >= 0:
            self._control.close()
            for listener in self._listeners.values():
                listener.close()
            os.close(self._lock)
            self._lock = -1

    def _hear(self, connection: socket.socket) -> None:
        try:
            packet = connection.recv(PACKET)
            if packet:
                self._answer(connection, json.loads(packet))
                return
        except (OSError, ValueError, KeyError):
            pass
        del self._connections[connection.fileno()]
        connection.close()

    def _answer(self, connection: socket.socket, question: dict[str, Any]) -> None:
        descriptors: list[int] = []
        if "start" in question:
            self._fronts.setdefault(question["start"], Front(question))
            self._start_due()
        elif "stop" in question:
            self._stop(question["stop"])
        elif "sockets" in question:
            descriptors = [listener.fileno() for listener in self._listeners.values()]
        elif "end" in question:
            self._end()
        answer = {
            "pid": os.getpid(),
            "fronts": {key: _told(front) for key, front in self._fronts.items()},
            "names": list(self._listeners),
        }
        socket.send_fds(connection, [json.dumps(answer).encode()], descriptors)

    def _end(self) -> None:
        self._ending = True
        for key in list(self._fronts):
            self._stop(key)

    def _stop(self, key: str) -> None:
        front = self._fronts.get(key)
        if front is None or not front.open:
            return
        front.open = False
        if front.pid:
            os.kill(front.pid, signal.SIGTERM)  # ours and not reaped, so the number is its own
        else:
            del self._fronts[key]

    def _reap(self) -> None:
        for key, front in list(self._fronts.items()):
            if not front.pid or not os.waitpid(front.pid, os.WNOHANG)[0]:
                continue
            front.pid = 0
            if not front.open:
                del self._fronts[key]
                continue
            now = time.monotonic()
            front.ends = front.ends + 1 if now - front.began < SOON else 0
            front.due = now + PAUSES[min(front.ends, len(PAUSES) - 1)]

    def _start_due(self) -> None:
        now = time.monotonic()
        for front in self._fronts.values():
            if front.open and not front.pid and front.due <= now:
                front.began = now
                signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # until the front handles none as we do
                front.pid = os.fork()
                if not front.pid:
                    _become(front.order, self._listeners)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def _told(front: Front) -> dict[str, Any]:
    began = time.time() - (time.monotonic() - front.began)
    return {"pid": front.pid, "open": front.open, "began": began, "ends": front.ends}


def _become(order: dict[str, Any], listeners: dict[str, socket.socket]) -> NoReturn:
    """Become a front, in the folder of its revision, with the sockets and an own one to be asked at."""
    try:
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        os.setsid()
        process = ctypes.CDLL(None, use_errno=True)
        process.prctl(_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)
        process.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        os.chdir(order["cwd"])
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
