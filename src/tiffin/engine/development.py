"""The server without a container, for development: on this machine, in this environment, again whenever a file changes.

The listening socket belongs to this process and is handed to each server in turn, so nobody is refused while one goes
and the next comes; what asks meanwhile waits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tiffin.errors import ConflictError

POLL_SECONDS = 0.3
STOP_SECONDS = 10
FIRST = 3
"""The descriptor of the first socket that is handed on (sd_listen_fds(3))."""

Snapshot = Mapping[Path, tuple[int, int]]


def snapshot(paths: Iterable[Path]) -> Snapshot:
    """Note when each file was written and how long it is; one that is gone is left out."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            found[path] = (status.st_mtime_ns, status.st_size)
    return found


def changed(before: Snapshot, after: Snapshot) -> list[Path]:
    """Name the files that are new, gone or different."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port of this machine; raises ConflictError where somebody else does."""
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        raise ConflictError(
            f"cannot listen on {host}:{port}: {error.strerror}", "choose another port: `-p 8081`"
        ) from error


class Running:
    """A server process that has been handed the listening socket."""

    def __init__(self, argv: Sequence[str], bound: socket.socket, environment: Mapping[str, str]) -> None:
        handed = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$@" {FIRST}<&{bound.fileno()}', "sh", *argv],
            env={**os.environ, **environment, **handed},
            stdin=subprocess.DEVNULL,
            pass_fds=[bound.fileno()],
            start_new_session=True,
        )

    @property
    def ended(self) -> bool:
        """Say whether it has ended by itself."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Let it finish what it answers, and wait for its end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def keep_running(start: Callable[[], Running], files: Callable[[], Iterable[Path]], say: Callable[[str], None]) -> None:
    """Run a server until interrupted, and anew after every change of a file; one that has ended waits for a change."""
    seen, server, told = snapshot(files()), start(), False
    try:
        while True:
            time.sleep(POLL_SECONDS)
            now = snapshot(files())
            if names := changed(seen, now):
                seen = _settled(now, files)
                say(f"{names[0].name}{' and others' if len(names) > 1 else ''} changed: starting again")
                server.stop()
                server, told = start(), False
            elif server.ended and not told:
                told = True
                say("the server has ended; it is started again when a file changes")
    finally:
        server.stop()


def _settled(seen: Snapshot, files: Callable[[], Iterable[Path]]) -> Snapshot:
    """Wait until nothing changes any more: an editor or a training writes several times."""
    while True:
        time.sleep(POLL_SECONDS)
        now = snapshot(files())
        if now == seen:
            return now
        seen = now
