"""What the front says: sentences for people, and errors as one JSON line each, all on standard error.

Whoever reads standard error may stop reading, and a full pipe blocks. While a `Writer` runs, its thread is what waits;
what it cannot keep is dropped, and how much that was is said when there is room again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

TYPE_CHECKING = False  # `queue` and `threading` are for the loop, which starts after the worker
if TYPE_CHECKING:
    from queue import SimpleQueue

Lines = Callable[[], bytes]
KEPT = 4096
LAST_SECONDS = 1.0


class Writer:
    """A thread that writes to standard error; at most `KEPT` pieces and `lines` lines of them wait for it."""

    def __init__(self, descriptor: int = 2, lines: int = 20_000) -> None:
        from queue import SimpleQueue  # noqa: PLC0415 - as said above
        from threading import Thread  # noqa: PLC0415 - as said above

        self._descriptor = descriptor
        self._most = lines
        self._queue: SimpleQueue[tuple[Lines, int] | None] = SimpleQueue()
        self._put = 0  # counted by whoever puts
        self._written = 0  # counted by the thread: neither waits for the other
        self._dropped = 0
        self._thread = Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put_later(self, lines: Lines, count: int) -> None:
        """Write what a function gives, which the thread calls; call this from one thread only."""
        if self._put - self._written + count > self._most or self._queue.qsize() >= KEPT:
            self._dropped += count
            return
        if self._dropped:
            text = _json("warning", "lines of the log were dropped, since nobody read them", {"lines": self._dropped})
            self._dropped = 0
            self._queue.put((lambda: text, 0))
        self._put += count
        self._queue.put((lines, count))

    def stop(self) -> None:
        """Write what waits, for a second at most: whoever does not read does not keep the server alive."""
        self._queue.put(None)
        self._thread.join(LAST_SECONDS)

    def _run(self) -> None:
        from signal import SIG_BLOCK, SIGINT, SIGTERM, pthread_sigmask  # noqa: PLC0415 - as said above

        pthread_sigmask(SIG_BLOCK, {SIGINT, SIGTERM})  # the loop's thread hears them, and at the end nobody
        while True:
            item = self._queue.get()
            if item is None:
                return
            lines, count = item
            try:
                left = memoryview(lines())
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except (OSError, ValueError):
                pass  # nobody can be told that nobody can be told
            self._written += count


class _Voice:
    """Where lines go: to standard error, by way of a writer while one runs."""

    writer: Writer | None = None

    def say(self, line: bytes) -> None:
        if self.writer is not None:
            self.writer.put_later(lambda: line, 1)
            return
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()


_voice = _Voice()


def begin_writing() -> Writer:
    """Let a thread do the writing from now on."""
    _voice.writer = Writer()
    return _voice.writer


def end_writing() -> None:
    """Write what waits, and write directly again."""
    writer, _voice.writer = _voice.writer, None
    if writer is not None:
        writer.stop()


def say(sentence: str) -> None:
    """Tell a person something."""
    _voice.say(f"tiffin: {sentence}\n".encode(errors="replace"))


def report(message: str, **fields: object) -> None:
    """Log an error as one line of JSON."""
    _voice.say(_json("error", message, fields))


def _json(level: str, message: str, fields: dict[str, object]) -> bytes:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"time": when, "level": level, "message": message, **fields}, default=str).encode() + b"\n"
