"""One run of a container's program: the process that becomes bubblewrap, and what leads from it to the keeper.

Standard library only (see `keeper`).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket

from tiffin.engine.embedded import linux, stage
from tiffin.engine.embedded.beside import Beside
from tiffin.engine.embedded.terminal import take

NOT_FOUND, NOT_RUNNABLE = 127, 126
"""Exit codes of a program that is not there, or cannot be run, as shells say it."""
_SIGNAL = 128
"""What is added to the number of the signal that ended a program, as shells do."""
_CHUNK = 1 << 16
_ENDS = 7
"""Descriptors of a run: the program's three streams, the other ends of report, status and gate, our end of the gate."""
_OUT_OF_THE_WAY = 256
"""A descriptor's number that no program's own descriptors reach."""

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiffin.engine.embedded.limits import Held


class Run:
    """The keeper's ends of what leads to one run; `handed` are the other ends until they are handed over.

    The program's own streams are not among them (see `terminal.Wires`): they outlive a run.
    """

    def __init__(self) -> None:
        self.report, report = os.pipe()
        self.status, status = os.pipe()
        self.gate, gate = socket.socketpair()
        self.failed = False
        self.handed = [report, status, gate.detach()]
        self.child = 0
        """The process that becomes bubblewrap, first of a pid namespace."""

    def let_go_on(self) -> None:
        """Let bubblewrap run the program; it may have died by now."""
        try:
            self.gate.send(b"1")
        except BrokenPipeError:
            self.failed = True

    def handed_over(self) -> None:
        """Close the other ends: the run has them."""
        while self.handed:
            os.close(self.handed.pop())

    def refusal(self, said: str, status: int) -> stage.Refused:
        """Why the program never ran: the stage's own refusal, or bubblewrap's words; `status` is the wait status."""
        if text := rest(self.report, blocking=True):
            return stage.Refused(*json.loads(text))
        words = said.removeprefix("bwrap: ") or f"status {status}"
        return stage.Refused("denied" if "namespace" in words else "command", f"bubblewrap: {words}")

    def verdict(self, said: str, status: int) -> tuple[int, str]:
        """The exit code, and why where the program was not even found; `said` is the last line of stderr."""
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return _SIGNAL - code, ""
        if b"exit-code" in rest(self.status):
            return code, ""
        missing = os.strerror(errno.ENOENT) in said
        return (NOT_FOUND if missing else NOT_RUNNABLE), said.removeprefix("bwrap: execvp ")

    def close(self) -> None:
        """Close what is left when it has ended."""
        self.gate.close()
        for descriptor in (self.report, self.status):
            os.close(descriptor)


class Origin:
    """What every run of a container is made of; `secrets` are descriptors of what lies at a path of the container."""

    def __init__(
        self,
        launch: stage.Launch,
        secrets: Sequence[tuple[int, str]],
        held: Held | None,
        *,
        has_terminal: bool = False,
    ) -> None:
        self._launch, self.secrets, self._held, self._has_terminal = launch, secrets, held, has_terminal
        self._beside: Beside | None = None

    def fork(self, handed: list[int], flags: int = 0) -> int:
        """Start a process in a pid namespace of its own that becomes bubblewrap; returns its number.

        `handed` are the program's streams, a run's descriptors, the keeper's end of its gate and the listening sockets.
        What stands beside the container is made anew for each run.
        """
        *ends, gate = handed[:_ENDS]
        self.end()
        self._beside = Beside(self._launch, handed[_ENDS:])
        try:
            child = linux.clone(linux.CLONE_NEWPID | flags)
        except OSError as error:
            raise stage.Refused("denied", f"no new namespace: {error.strerror}") from error
        if not child:
            self._enter(ends, self._beside)
        self._beside.stand(child, gate)
        return child

    def end(self) -> None:
        """End what stands beside a run that has ended."""
        if self._beside:
            self._beside.end()
            self._beside = None

    def _enter(self, ends: list[int], beside: Beside) -> None:
        """Become the container; what goes wrong on the way is reported and ends this process."""
        stdin, out, err, report, status, gate = ends
        report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
        launch = self._launch
        try:
            if self._has_terminal:
                take(stdin)
            if self._held:
                self._held.take_on()
            stage.build(launch)
            _become(launch)
            stage.check_mounts(launch)
            given = {"--block-fd": gate, "--json-status-fd": status, **beside.options(gate)}
            options = [stage.Option(name, descriptor) for name, descriptor in given.items()]
            tail = stage.Tail([*options, *self._secret_files()], gate)
            stage.exec_bubblewrap(launch, [stdin, out, err], beside.handed, tail)
        except stage.Refused as refusal:
            os.write(report, json.dumps([refusal.kind, str(refusal), refusal.hint]).encode())
        except OSError as error:
            os.write(report, json.dumps(["denied", f"cannot prepare the container: {error}", ""]).encode())
        finally:
            os._exit(1)

    def _secret_files(self) -> list[stage.Option]:
        """Files in memory that the container's user alone reads; after the last one nobody may write there."""
        options = []
        for number, (descriptor, path) in enumerate(self.secrets, start=1):
            os.lseek(descriptor, 0, os.SEEK_SET)  # the run before has read it to its end
            last = ("--remount-ro", path.rpartition("/")[0]) if number == len(self.secrets) else ()
            options += [stage.Option("--file", descriptor, before=("--perms", "0400"), after=(path, *last))]
        return options


def _become(launch: stage.Launch) -> None:
    """Become the user that the container's processes are on this machine, and the one of several that it is."""
    stage.become(launch["become"], launch["group"], launch["groups"])
    if launch["user"]:
        stage.become(launch["user"][0], launch["user"][1])


def rest(descriptor: int, *, blocking: bool = False) -> bytes:
    """What is left in a pipe now."""
    os.set_blocking(descriptor, blocking)
    parts = []
    try:
        while data := os.read(descriptor, _CHUNK):
            parts.append(data)
    except BlockingIOError:
        pass
    return b"".join(parts)
