"""Whether a replica is ready, and lives: asked by HTTP as a kubelet does, or by looking whether its port is open."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from tiffin_serve.relay.table import Probe, Upstream

SOON, PERIOD = 0.1, 5.0
"""Seconds between two questions: until it is ready, and from then on."""
PATIENCE = 2.0
"""Seconds that an answer may take."""
FAILURES = 3
"""So many in a row count."""
SETTLED = 0.1
"""Seconds that a connection must stay where nothing but connecting can be tried: a relay before it accepts, too."""
_LISTEN = "0A"
"""TCP_LISTEN, as /proc/net/tcp says it (proc_net_tcp in the kernel's Documentation/networking)."""
_GOOD = range(200, 400)


class Health:
    """One replica, asked again and again; `changed` is called when it begins or ceases to be ready, or fails."""

    def __init__(self, upstream: Upstream, probe: Probe, changed: Callable[[], None]) -> None:
        self.upstream = upstream
        self.since = 0.0
        """When it became ready, in seconds since 1970; 0 where it is not."""
        self.failure = ""
        self._probe, self._changed = probe, changed
        self._doubted = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def end(self) -> None:
        """Ask no more."""
        self._task.cancel()

    def doubt(self) -> None:
        """Take it as not ready, since nobody accepts there, until it has been asked again."""
        if self.since:
            self.since = 0.0
            self._changed()
        self._doubted.set()

    async def _watch(self) -> None:
        unready, unlively = 0, 0
        while True:
            ready = await answers(self.upstream, self._probe.ready)
            unready = 0 if ready else unready + 1
            if ready and not self.since:
                self.since, self.failure = time.time(), ""
                self._changed()
            elif self.since and unready >= FAILURES:
                self.since = 0.0
                self._changed()
            if self.since and self._probe.live:
                unlively = 0 if await answers(self.upstream, self._probe.live) else unlively + 1
                self._judge(lives=unlively < FAILURES)
            self._doubted.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._doubted.wait(), PERIOD if self.since and not unready else SOON)

    def _judge(self, *, lives: bool) -> None:
        failure = "" if lives else f"it does not answer {self._probe.live} with success"
        if failure != self.failure:
            self.failure = failure
            self._changed()


async def answers(upstream: Upstream, path: str) -> bool:
    """Ask once: a path by HTTP, else whether the port is open."""
    try:
        if path:
            return await asyncio.wait_for(_asked(upstream, path), PATIENCE) in _GOOD
        listening = listens(upstream.pid, upstream.inner)
        return await asyncio.wait_for(_stays(upstream), PATIENCE) if listening is None else listening
    except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return False


def listens(pid: int, port: int) -> bool | None:
    """Say whether anybody listens on a port in the network of a process; None where it cannot be told."""
    if not pid or not port:
        return None
    try:
        texts = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    except OSError:
        return None
    return any(_is_listening(text, port) for text in texts)


def _is_listening(table: str, port: int) -> bool:
    rows = (line.split() for line in table.splitlines()[1:])
    return any(row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port for row in rows)


async def _asked(upstream: Upstream, path: str) -> int:
    reader, writer = await asyncio.open_connection(upstream.host, upstream.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {upstream.host}\r\nconnection: close\r\n\r\n".encode())
        line = await reader.readuntil(b"\n")
        return int(line.split()[1]) if line.startswith(b"HTTP/") else 0
    finally:
        writer.close()


async def _stays(upstream: Upstream) -> bool:
    """Connect, and see whether the connection is still there a moment later, or something has been said on it."""
    reader, writer = await asyncio.open_connection(upstream.host, upstream.port)
    try:
        return bool(await asyncio.wait_for(reader.read(1), SETTLED))
    except TimeoutError:
        return True
    finally:
        writer.close()
