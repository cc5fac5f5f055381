"""The keeper: the one process that stands by a container, and dies with it. Standard library only.

It is started by `container.EmbeddedContainer.start` and is nobody's child. Its working directory is the container's
folder; everything it knows of the outside are the descriptors it was given.

    plan      standard input, JSON: what to run
    lease     a socket to the starter: one message, "started" or why not; of an attached container its end means "stop",
              and a message that it goes on by itself
    control   a socket in the folder: {"stop": seconds}, {"signal": number} and what `audience` reads come in, an empty
              message goes out whenever the log grew, and its end tells whoever waits that the container has exited, or
              that the signal was sent
    state.json, log.json    written here, read by everybody

The container's processes live in a pid namespace whose first process is the keeper's child, with SIGKILL as its parent
death signal: whatever ends the keeper, the kernel ends them all, and no container can opt out.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import time

from tiffin.engine.embedded import linux, stage
from tiffin.engine.embedded.again import NO, Restarts
from tiffin.engine.embedded.audience import MESSAGE, Audience
from tiffin.engine.embedded.handing import handed
from tiffin.engine.embedded.keeper_log import Log, now
from tiffin.engine.embedded.limits import hold
from tiffin.engine.embedded.loop import Loop, signalled
from tiffin.engine.embedded.spawn import NOT_RUNNABLE, Origin, Run
from tiffin.engine.embedded.steward import Steward
from tiffin.engine.embedded.terminal import Wires
from tiffin.engine.embedded.watch import Watch

CONTROL, STATE, LOG = "control", "state.json", "log.json"
_CHUNK = 1 << 16
_BACKLOG = 128

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from typing import NoReturn, TypedDict

    class Plan(TypedDict):
        """What the starter says: the container, the numbers of the descriptors it handed over, how to stop.

        `id` is the container's and `path` its folder; `limits` are amounts by name, and `memory_places` its folders in
        memory; `secrets` are descriptors and paths in the container; `restart` is a policy and how often. `terminal` is
        the size of the one it gets, `stdin` whether its input stays open; what an `awaited` container writes is not
        read before somebody attaches, and it does not end before.
        """

        id: str
        name: str
        path: str
        launch: stage.Launch
        lease: int
        folder: int
        listeners: list[int]
        ports: list[dict[str, object]]
        attached: bool
        awaited: bool
        terminal: tuple[int, int] | None
        stdin: bool
        stop_signal: int
        stop_seconds: float
        limits: dict[str, float]
        memory_places: list[str]
        secrets: list[tuple[int, str]]
        restart: tuple[str, int]
        remove: bool


def main() -> None:
    """Read the plan, leave the starter, keep one container until it has exited."""
    with open(0, "rb", closefd=False) as stream:
        plan: Plan = json.load(stream)
    if os.fork():
        os._exit(0)
    keep(plan)


def keep(plan: Plan) -> NoReturn:
    """Keep one container until it has exited, then end this process."""
    lease = socket.socket(fileno=plan["lease"])
    for descriptor in handed(plan):
        os.set_inheritable(descriptor, False)
    try:
        Keeper(plan, lease).keep()
    except stage.Refused as refusal:
        _close(plan["listeners"])
        fcntl.flock(plan["folder"], fcntl.LOCK_UN)
        _say(lease, {"error": refusal.kind, "message": str(refusal), "hint": refusal.hint})
        os._exit(1)
    os._exit(0)


class Keeper:
    """One container, from before its first process to after its last."""

    def __init__(self, plan: Plan, lease: socket.socket) -> None:
        self._plan, self._lease = plan, lease
        self._loop = Loop()
        self._connections: dict[int, socket.socket] = {}
        self._run: Run | None = None
        self._program = 0
        self._memory: Watch | None = None
        self._restarts = Restarts(*plan["restart"])
        self._began = 0.0
        self._started = ""
        self._ended = (0, "")
        self._stopping = self._over = self._took_too_much = False
        self._attached, self._awaited = plan["attached"], plan["awaited"]

    def keep(self) -> None:
        """Start the container and stand by it until it has exited for good."""
        _own_folder(self._plan["folder"])
        self._prepare()
        self._begin()
        launch = self._plan["launch"]
        stage.become(launch["become"], launch["group"])
        self._open()
        while not self._over or self._awaited:
            self._loop.turn()
        self._finish()

    def _prepare(self) -> None:
        """Do what is done once, whatever comes of it: find what holds the limits, keep what rights are needed later."""
        plan, launch = self._plan, self._plan["launch"]
        become, group = launch["become"], launch["group"]
        self._held = hold(plan["limits"], plan["id"])
        owner = None if become is None else (become, become if group is None else group)
        self._wires = Wires(plan["terminal"], owner, stdin=plan["stdin"])
        self._origin = Origin(launch, plan["secrets"], self._held, has_terminal=self._wires.has_terminal)
        removed = (plan["path"], plan["name"]) if plan["remove"] else None
        again = plan["restart"][0] != NO and become is not None
        needed = again or removed or self._held.groups
        self._steward = Steward(self._origin, self._held.groups, removed) if needed else None
        self._later = self._steward if self._steward and again else self._origin
        if become is None:
            try:
                stage.enter_user_namespace(launch["maps"])
            except OSError as error:
                raise stage.Refused("denied", f"no new namespace: {error.strerror}") from error
        if launch["user"]:
            self._wires.give(launch["user"][0], launch["user"][1])

    def _begin(self) -> None:
        """Start the program, for the first time or again."""
        self._maker = self._later if self._started else self._origin
        run = Run()
        run.child = self._maker.fork([*self._wires.theirs, *run.handed, run.gate.fileno(), *self._plan["listeners"]])
        run.handed_over()
        run.let_go_on()
        if self._plan["restart"][0] == NO:
            self._wires.handed_over()  # else the next run gets them too, and whoever is attached stays so
        self._run, self._program, self._ready = run, 0, False
        self._attend(run)

    def _attend(self, run: Run) -> None:
        """Begin to listen to one run: its gate, its end."""
        self._ending = os.pidfd_open(run.child)
        os.set_blocking(run.status, False)
        self._loop.watch(run.gate.fileno(), lambda: self._pass(run))
        self._loop.watch(self._ending, lambda: self._reap(run))

    def _open(self) -> None:
        """Begin to listen to everybody else: what the program says, the starter, whoever connects, a shutdown."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._log = Log(os.open(LOG, flags, 0o600))
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.bind(CONTROL)
        self._control.listen(_BACKLOG)
        self._audience = Audience(self._wires, self._loop.watch, self._loop.forget, self._heard)
        if not self._awaited:
            self._audience.listen()
        self._loop.watch(self._lease.fileno(), self._released)
        self._loop.watch(self._control.fileno(), self._accept)
        terminated = signalled(signal.SIGTERM)
        self._loop.watch(terminated, lambda: self._terminated(terminated))

    def _heard(self, stream: str, data: bytes) -> None:
        self._log.write(stream, data)
        for connection in self._connections.values():
            _ring(connection)

    def _pass(self, run: Run) -> None:
        """The gate moved: bubblewrap took its byte and is about to run the program, or it died before."""
        try:
            ready = not run.gate.recv(1) and not run.failed
        except ConnectionResetError:
            ready = False
        self._loop.forget(run.gate.fileno())
        if not ready:
            self._awaited = False
            return  # the exit comes next
        self._program, self._ready = linux.child_of(run.child), True
        self._began = time.monotonic()
        first, self._started = not self._started, now()
        self._watch_memory()
        self._write_state("running", pid=self._program)
        if first:
            self._announce()

    def _announce(self) -> None:
        _say(self._lease, {"started": True})
        if not self._attached:
            self._loop.forget(self._lease.fileno())
            self._lease.close()

    def _watch_memory(self) -> None:
        """Begin to look at its memory where no control group holds it; a program that is gone needs no watch."""
        if self._held.memory:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                self._memory = Watch(self._held.memory, self._program, self._plan["memory_places"])
                self._look()

    def _look(self) -> None:
        """Look at its memory, and end it where that is too much."""
        if not self._memory or not self._run:
            return
        used = self._memory.used()
        if used > self._held.memory:
            self._took_too_much = True
            os.kill(self._run.child, signal.SIGKILL)
        else:
            self._loop.later("memory", self._memory.pause(used), self._look)

    def _released(self) -> None:
        """The starter is gone, or lets it go on; one that is attached takes the container with it."""
        self._loop.forget(self._lease.fileno())
        self._awaited = False
        try:
            goes_on = bool(self._lease.recv(MESSAGE))
        except OSError:
            goes_on = False
        if self._attached and not goes_on:
            self._stop(self._plan["stop_seconds"])

    def _terminated(self, descriptor: int) -> None:
        """The machine shuts down, or somebody wants this keeper gone."""
        os.read(descriptor, _CHUNK)
        self._stop(self._plan["stop_seconds"])

    def _accept(self) -> None:
        connection, _ = self._control.accept()
        self._connections[connection.fileno()] = connection
        self._loop.watch(connection.fileno(), lambda: self._hear(connection))
        _ring(connection)  # the log may have grown between its connecting and now

    def _hear(self, connection: socket.socket) -> None:
        """Do what a control message says; the connection ends when a signal was sent, and for nonsense."""
        try:
            message = self._audience.hear(connection)
            if "stop" in message:
                self._stop(float(str(message["stop"])))
                return
            if message.keys() & {"attach", "end"}:
                self._awaited = False
                return
            self._signal(int(str(message["signal"])))
        except (ValueError, KeyError, TypeError, AttributeError, OSError):
            pass
        descriptor = connection.fileno()
        self._audience.leave(descriptor)
        self._loop.forget(descriptor)
        self._connections.pop(descriptor).close()

    def _stop(self, seconds: float) -> None:
        self._loop.later("kill", seconds, self._kill)
        self._signal(self._plan["stop_signal"])

    def _signal(self, number: int) -> None:
        """Signal the program; one that does not run yet is killed at once. What ends it by intent ends it for good."""
        self._stopping |= number in {signal.SIGKILL, self._plan["stop_signal"]}
        if not self._run:
            self._over |= self._stopping
        elif not self._program:
            self._loop.later("kill", 0, self._kill)
        elif number == signal.SIGKILL:
            self._kill()
        elif linux.child_of(self._run.child) == self._program:  # bubblewrap has not reaped it, so the number is its own
            _kill(self._program, number)

    def _kill(self) -> None:
        if self._run:
            os.kill(self._run.child, signal.SIGKILL)

    def _reap(self, run: Run) -> None:
        """A run has ended: see how, and go on or not."""
        if self._loop.forget(run.gate.fileno()):
            self._pass(run)  # both were there at once
        _, self._wait_status = os.waitpid(run.child, 0)
        self._maker.end()
        self._loop.forget(self._ending)
        if not self._awaited:
            self._audience.drain()
            self._end_lines()
        if not self._started:
            raise run.refusal(self._log.said, self._wait_status)
        self._ended = self._verdict(run)
        self._let_go(run)
        ran = time.monotonic() - self._began
        pause = None if self._stopping else self._restarts.after(self._ended[0], ran)
        self._over = pause is None
        if pause is not None:
            self._write_state("running", pid=0)
            self._loop.later("again", pause, self._again)

    def _verdict(self, run: Run) -> tuple[int, str]:
        """The exit code of a run, and why where it did not end by itself."""
        too_much, self._took_too_much = self._held.killed_for_memory() or self._took_too_much, False
        if not self._ready:
            self._stopping = True  # what cannot be run now will not be run later
            return NOT_RUNNABLE, str(run.refusal(self._log.said, self._wait_status))
        code, reason = run.verdict(self._log.said, self._wait_status)
        return code, "memory" if code and too_much else reason

    def _again(self) -> None:
        """Start it once more; what cannot be has ended."""
        try:
            self._begin()
        except (OSError, stage.Refused) as error:
            self._ended, self._over = (NOT_RUNNABLE, str(error)), True

    def _end_lines(self) -> None:
        """Keep what was written without an end of line."""
        for stream in ("stdout", "stderr"):
            self._log.write(stream, b"", final=True)

    def _let_go(self, run: Run) -> None:
        """Hold nothing of a run any more."""
        run.close()
        os.close(self._ending)
        self._run = None
        self._loop.clear()
        if self._memory:
            self._memory.close()
            self._memory = None

    def _finish(self) -> None:
        """Say in the state how it ended; whoever waits hears of it when this process exits."""
        _close(self._plan["listeners"])
        self._audience.drain()
        self._end_lines()
        self._wires.close()
        code, reason = self._ended
        self._write_state("exited", pid=0, exit_code=code, finished=now(), reason=reason)
        self._control.close()  # before any connection: whoever hears of the end finds nobody here
        # Whoever hears of the end may start it again at once; the socket's name stays, soon it is the next keeper's.
        fcntl.flock(self._plan["folder"], fcntl.LOCK_UN)
        self._audience.serve()

    def _write_state(self, status: str, **more: object) -> None:
        """Let the state appear whole; only an exit is worth waiting for the disk, a crash ends all the rest."""
        known = {"started": self._started, "ports": self._plan["ports"], "limits": self._held.by}
        state = {"status": status, "restarts": self._restarts.count, **known, **more}
        descriptor = os.open(f".{STATE}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.write(descriptor, json.dumps(state).encode())
        if status == "exited":
            os.fsync(descriptor)
        os.close(descriptor)
        os.rename(f".{STATE}", STATE)  # noqa: PTH104 - see `stage`


def _close(listeners: list[int]) -> None:
    """Let ports be free before anybody hears of the end."""
    for listener in listeners:
        os.close(listener)


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


def _kill(pid: int, number: int) -> None:
    """Send a signal; a process that has just ended needs none."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
