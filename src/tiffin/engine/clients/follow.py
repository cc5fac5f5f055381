"""A container's log out of the two pipes of `logs --timestamps`, in the order of its times.

podman's `logs --follow` does not end with the container where it keeps no events. So `wait` runs beside it; when that
ends first, the log is read once more from its start, and what was not given yet is.
"""

from __future__ import annotations

import re
import selectors
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator

from tiffin.engine.clients.seen import read_line, utc
from tiffin.engine.spec import LogLine

_CHUNK = 1 << 16
_ENDED = "ended"
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ")
_AGAIN = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) ")
"""A time as both programs write it, always with nine digits."""


class Reader:
    """Reads both pipes; what has no time was not written by the container but said by the program."""

    def __init__(self, process: subprocess.Popen[bytes], waiter: subprocess.Popen[bytes] | None = None) -> None:
        self._pipes = {"stdout": process.stdout, "stderr": process.stderr}
        self._waiter = waiter
        self._rest = dict.fromkeys(self._pipes, b"")
        self.said: list[str] = []
        self.given: Counter[str] = Counter()
        self.is_whole = True

    def bursts(self) -> Iterator[list[LogLine]]:
        """Lines as they come, until both pipes end or the waiter's does."""
        waiting = {_ENDED: self._waiter.stdout} if self._waiter else {}
        with selectors.DefaultSelector() as selector:
            for stream, pipe in (self._pipes | waiting).items():
                if pipe:
                    selector.register(pipe, selectors.EVENT_READ, stream)
            while any(key.data != _ENDED for key in selector.get_map().values()):
                ready = [key for key, _ in selector.select()]
                burst: list[LogLine] = []
                for key in ready:
                    data = key.fileobj.read(_CHUNK)  # type: ignore[union-attr] # a pipe, unbuffered
                    burst += self._lines(key.data, data) if key.data != _ENDED else ()
                    if not data:
                        selector.unregister(key.fileobj)
                self.given.update(line.stream for line in burst)
                yield by_time(burst)
                if any(key.data == _ENDED for key in ready):
                    self.is_whole = False
                    return

    def _lines(self, stream: str, data: bytes) -> Iterator[LogLine]:
        """Whole lines; at the end of a pipe what is left counts as one."""
        *whole, rest = (self._rest[stream] + data).split(b"\n")
        if not data and rest:
            whole, rest = [*whole, rest], b""
        self._rest[stream] = rest
        for line in whole:
            if _STAMP.match(line):
                yield read_line(joined(line).decode(errors="replace"), stream)
            else:
                self.said.append(line.decode(errors="replace"))


def by_time(lines: Iterable[LogLine]) -> list[LogLine]:
    """Put lines of both streams in one order."""
    return sorted(lines, key=lambda line: line.time)


def without(lines: Iterable[LogLine], given: Counter[str]) -> Iterator[LogLine]:
    """Leave out as many lines of each stream as were given before."""
    left = given.copy()
    for line in lines:
        if left[line.stream]:
            left[line.stream] -= 1
        else:
            yield line


def joined(line: bytes) -> bytes:
    """Take the further times out of a line.

    docker breaks long lines, and podman those that were written in pieces; both tell the time again at each break. Such
    a time is not earlier than the one before it; what a program says of the time in its own words is, as it came first.
    """
    first = _STAMP.match(line)
    if not first:
        return line
    at, last, kept = first.end(), _time(first), [line[: first.end()]]
    for found in _AGAIN.finditer(line, at):
        if _time(found) >= last:
            kept.append(line[at : found.start()])
            at, last = found.end(), _time(found)
    return b"".join([*kept, line[at:]])


def _time(found: re.Match[bytes]) -> str:
    return utc(found[0].decode().rstrip())
