"""A container's log out of the two pipes of `logs --timestamps`, in the order of its times."""

from __future__ import annotations

import re
import selectors
import subprocess
from collections.abc import Iterator

from tiffin.engine.clients.seen import read_line
from tiffin.engine.spec import LogLine

_CHUNK = 1 << 16
_LONGEST = 1 << 14
"""Bytes after which docker breaks a line, and tells the time again."""
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ")


class Reader:
    """Reads both pipes; what has no time was not written by the container but said by the program."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._pipes = {"stdout": process.stdout, "stderr": process.stderr}
        self._rest = dict.fromkeys(self._pipes, b"")
        self.said: list[str] = []

    def bursts(self) -> Iterator[list[LogLine]]:
        """Lines as they come, until both pipes end."""
        with selectors.DefaultSelector() as selector:
            for stream, pipe in self._pipes.items():
                if pipe:
                    selector.register(pipe, selectors.EVENT_READ, stream)
            while selector.get_map():
                burst: list[LogLine] = []
                for key, _ in selector.select():
                    data = key.fileobj.read(_CHUNK)  # type: ignore[union-attr] # a pipe, unbuffered
                    burst += self._lines(key.data, data)
                    if not data:
                        selector.unregister(key.fileobj)
                yield sorted(burst, key=lambda line: line.time)

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


def joined(line: bytes) -> bytes:
    """Take the times out of a long line that docker put there where it broke it."""
    first = _STAMP.match(line)
    start = first.end() if first else 0
    whole, text = line[:start], line[start:]
    while found := _STAMP.match(text, _LONGEST):
        whole, text = whole + text[:_LONGEST], text[found.end() :]
    return whole + text
