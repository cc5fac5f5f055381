"""The worker process of the role `all`: started before anything heavy is imported here, and reaped in a thread.

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


class Child:
    """The one worker; `start` may be called again after it has ended."""

    def __init__(self, argv: list[str], environment: Mapping[str, str]) -> None:
        self._argv = argv
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._reaping = False
        self._lock = threading.Lock()
        self._tell: Callable[[int], None] | None = None

    @property
    def running(self) -> bool:
        """Say whether a worker was started and has not been seen to end."""
        return self._process is not None

    def start(self) -> None:
        """Start it, in a session of its own so that Ctrl-C reaches the front alone; raises OSError."""
        self._process = subprocess.Popen(
            self._argv, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        if self._tell is not None:
            self._reap()

    def watch(self, ended: Callable[[int], None]) -> None:
        """Call `ended` with the exit code (negative: a signal), from a thread, whenever the worker ends."""
        self._tell = ended
        self._reap()

    def forget(self) -> None:
        """Note that the end has been seen."""
        self._process = None

    def stop(self, *, now: bool = False) -> None:
        """Ask it to finish its batch and go, or kill it."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL if now else signal.SIGTERM)

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
                with self._lock:
                    self._reaping = False
                return
            process = self._process
            if process is not None and process.pid == pid and self._tell is not None:
                process.returncode = os.waitstatus_to_exitcode(status)
                self._tell(process.returncode)
