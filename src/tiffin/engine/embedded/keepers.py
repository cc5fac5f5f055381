"""How a keeper is begun: as a program of its own, or as a fork of one that has imported what a keeper does."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from tiffin.engine.embedded.boot import paper, python
from tiffin.engine.embedded.handing import handed

if TYPE_CHECKING:
    from tiffin.engine.embedded.keeper import Plan

Begin: TypeAlias = "Callable[[Plan, int], None]"
"""Begins the keeper of a plan; what it dies of it says in the file that the descriptor leads to."""


def execute(plan: Plan, words: int) -> None:
    """Start a keeper in a session of its own and let go of it: it forks away from us at once."""
    with paper(plan) as sheet:
        subprocess.run(
            python("keeper"),
            stdin=sheet,
            stdout=subprocess.DEVNULL,
            stderr=words,
            cwd="/",
            pass_fds=handed(plan),
            start_new_session=True,
            check=False,
        )


class ForkServer:
    """A process that forks keepers (see `fork_server`); it begins with this object and ends with it, or with us."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                python("fork_server"),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        self._one = threading.Lock()
        weakref.finalize(self, _end, self._channel, process)

    def fork(self, plan: Plan, words: int) -> None:
        """Have a keeper forked; where the server was killed, or cannot be handed so much, execute one."""
        with self._one, paper(plan) as sheet:
            try:
                socket.send_fds(self._channel, [b"1"], [sheet, words, *handed(plan)])
            except OSError:
                execute(plan, words)
            else:
                self._answered()

    def _answered(self) -> None:
        """Wait until the server has let go; whether there is a keeper, its lease tells."""
        with contextlib.suppress(ConnectionResetError):
            self._channel.recv(1)


def _end(channel: socket.socket, process: subprocess.Popen[bytes]) -> None:
    channel.close()
    process.kill()  # it may be at its imports, of which nobody needs the end
    process.wait()
