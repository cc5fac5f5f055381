"""A container whose start was decided before: made, run and removed with what a keeper imports, and nothing more.

What it cannot do by itself, and few containers need, is left to `whole`: the same container with all that it can do.
Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time

from tiffin.engine.embedded import made
from tiffin.engine.embedded.attach import Attachment
from tiffin.engine.embedded.begin import fork, heard, reach
from tiffin.engine.embedded.forget import forget
from tiffin.engine.embedded.keeper import STATE

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypedDict

    from tiffin.engine.embedded.keeper import Plan

    class Start(TypedDict):
        """How a container is started: what is written about it, what its keeper is told, and whose its folders are."""

        spec: dict[str, object]
        plan: Plan
        owner: tuple[int, int] | None
        root: tuple[int, int] | None
        writable: bool

    class Whole(Protocol):
        """As much of `spec.Container` as is left to it."""

        def stop(self) -> None:
            """Stop it."""

        def wait(self) -> int:
            """Wait for its end."""


_LEFT_SECONDS = 60
"""After how long what is half made or half removed was left so by a process that died."""


class Changed(Exception):  # noqa: N818 - it is no error: whoever hears of it decides anew
    """What was decided before cannot be done now."""


class Streams:
    """This process's own streams; input is read only for a container that has one."""

    stdout, stderr = 1, 2

    def __init__(self, *, stdin: bool) -> None:
        self.stdin = 0 if stdin else None


class WarmContainer:
    """A container in the folder `above`, without a terminal."""

    tty = False

    def __init__(self, above: str, start: Start, whole: Callable[[str], Whole]) -> None:
        """Make it; raises Taken for a name that another has, and Changed where something has to be cleared up."""
        plan = start["plan"]
        self._above, self._plan, self._whole = above, plan, whole
        self._path = plan["path"]
        self.stdin = plan["stdin"]
        made.make(
            above,
            plan["id"],
            plan["name"],
            json.dumps(start["spec"]).encode(),
            owner=start["owner"],
            root=start["root"],
            writable=start["writable"],
            sweep=self._sweep,
        )

    def run(self, started: Callable[[], None]) -> int:
        """Start it, carry what it reads and writes, and return its exit code (see `CanAttach.run`)."""
        with contextlib.ExitStack() as opened:
            lease, theirs = (
                opened.enter_context(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            )
            folder = os.open(f"{self._path}/{made.RUN}", os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, folder)
            words = os.memfd_create("tiffin")
            opened.callback(os.close, words)
            told: Plan = {**self._plan, "lease": theirs.fileno(), "folder": folder, "attached": True, "awaited": True}
            fork(told, words)
            theirs.close()
            if not heard(lease).get("started"):
                raise Changed
            started()
            if connection := opened.enter_context(reach(folder) or contextlib.nullcontext()):
                Attachment(connection, self, Streams(stdin=self.stdin), ends=True).relay(b"")
            return self._exit_code(folder)

    def stop(self) -> None:
        """Stop it (see `Container.stop`)."""
        self._whole(self._plan["id"]).stop()

    def remove(self) -> None:
        """Forget it, which has ended; what others of its users own is left to who may remove that."""
        forget(self._path, self._plan["name"])
        left = f"{self._above}/.gone-{self._plan['id']}"
        if os.path.lexists(left):
            from pathlib import Path  # noqa: PLC0415 - few containers need it, at their end

            from tiffin.engine.embedded.trees import discard  # noqa: PLC0415 - as above

            discard(Path(left))

    def _exit_code(self, folder: int) -> int:
        """Read how it ended; a keeper that was killed has not said it."""
        with open(os.open(STATE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as file:  # noqa: PTH123 - a descriptor
            state = json.load(file)
        return int(state["exit_code"]) if state["status"] == "exited" else self._whole(self._plan["id"]).wait()

    def _sweep(self) -> None:
        """Leave what was left half made or half removed to who can remove it; who is at it now is not disturbed."""
        for name in os.listdir(self._above):  # noqa: PTH208 - names
            if name.startswith("."):
                with contextlib.suppress(FileNotFoundError):  # it has just been removed
                    if time.time() - os.lstat(f"{self._above}/{name}").st_ctime > _LEFT_SECONDS:
                        raise Changed
