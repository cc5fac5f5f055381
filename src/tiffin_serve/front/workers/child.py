"""The worker processes of the role `all`: the first is started before anything heavy is imported here.

As process 1 of a container the front inherits every orphan, so it waits for any child; one blocked thread does that
without a signal handler or a timer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping

Told = Callable[[int, int], None]


class Children:
    """The processes that this front has started, by pid."""

    def __init__(self, argv: list[str], environment: Mapping[str, str]) -> None:
        self._argv = argv
        self._environment = dict(environment)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._reaping = False
        self._lock = threading.Lock()
        self._tell: Told | None = None

    def __len__(self) -> int:
        return len(self._processes)

    def __contains__(self, pid: int) -> bool:
        return pid in self._processes

    def start(self) -> int:
        """Start one, in a session of its own so that Ctrl-C reaches the front alone; gives its pid; raises OSError."""
        with self._lock:  # it may have ended before it is noted
            process = subprocess.Popen(
                self._argv, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True
            )
            self._processes[process.pid] = process
        if self._tell is not None:
            self._reap()
        return process.pid

    def watch(self, ended: Told) -> None:
        """Call `ended` with pid and exit code (negative: a signal), from a thread, whenever one ends."""
        self._tell = ended
        self._reap()

    def forget(self, pid: int) -> bool:
        """Note that an end has been seen; says whether it was one of ours."""
        return self._processes.pop(pid, None) is not None

    def stop(self, *, now: bool = False) -> None:
        """Ask all to finish their batch and go, or kill them and whatever they have started."""
        for pid in list(self._processes):
            self.end(pid, now=now)

    def end(self, pid: int, *, now: bool = False) -> None:
        """Ask one to finish and go, or kill it and whatever it has started."""
        process = self._processes.get(pid)
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL) if now else os.kill(pid, signal.SIGTERM)

    def _reap(self) -> None:
        with self._lock:
            if not self._reaping:
                self._reaping = True
                threading.Thread(target=self._wait_for_all, name="reaper", daemon=True).start()

    def _wait_for_all(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                if self._is_childless():
                    return
                continue
            with self._lock:
                process = self._processes.get(pid)
            if process is not None and self._tell is not None:
                process.returncode = os.waitstatus_to_exitcode(status)
                self._tell(pid, process.returncode)

    def _is_childless(self) -> bool:
        """Look again where nobody can start one meanwhile, and let the next start begin anew."""
        with self._lock:
            try:
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                self._reaping = False
                return True
            return False
