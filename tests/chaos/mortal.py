"""`tiffin up` that kills itself (-9) at its Nth step; a program: `python mortal.py N`.

A step is whatever it does to the world: a statement that begins or ends a change of its database, a file or folder
that is written, renamed or removed, a process that is started, a question to a holder or a front. They are heard of by
Python's audit events and SQLite's trace, so no line of the supervisor knows of it; the kill comes just before the step.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from typing import Any

CONNECT = sqlite3.connect
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
DOES = frozenset(
    {
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "shutil.rmtree",
        "socket.connect",
        "subprocess.Popen",
    }
)


class Mortal:
    """Counts steps, and dies at one."""

    def __init__(self, steps: int) -> None:
        self._left, self._own = steps, os.getpid()
        self._lock = threading.Lock()

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Hear of everything that the interpreter does."""
        if event in DOES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES):
            self._step()

    def connect(self, *arguments: Any, **more: Any) -> sqlite3.Connection:
        """Open a database whose changes are steps."""
        made = CONNECT(*arguments, **more)
        made.set_trace_callback(self._change)
        return made

    def _change(self, statement: str) -> None:
        if statement.startswith(("BEGIN", "COMMIT")):
            self._step()

    def _step(self) -> None:
        if os.getpid() != self._own:
            return
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                os.kill(self._own, signal.SIGKILL)


def main() -> None:
    """Keep services until the step comes."""
    from tiffin.cli import main as tiffin  # noqa: PLC0415 - a program of its own

    mortal = Mortal(int(sys.argv[1]))
    sys.addaudithook(mortal.audit)
    sqlite3.connect = mortal.connect
    sys.argv = ["tiffin", "up"]
    tiffin()


if __name__ == "__main__":
    main()
