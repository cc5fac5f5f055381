"""A container's log: one JSON object a line, as docker's json-file driver writes it. Standard library only."""

from __future__ import annotations

import codecs
import json
import os
import time

LONGEST = 16 * 1024
"""Bytes of a line that are kept together; a longer one is written in parts, the last of which ends in a line feed."""


def now() -> str:
    """The time as RFC 3339 in UTC with nanoseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"


class Log:
    """Lines of two streams, appended to one file; an unfinished line waits for its end."""

    def __init__(self, descriptor: int) -> None:
        self._file = descriptor
        self.said = ""
        """The last line, which is bubblewrap's where it could not run the program."""
        self._pending = {"stdout": "", "stderr": ""}
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in self._pending}

    def write(self, stream: str, data: bytes, *, final: bool = False) -> None:
        """Take bytes of a stream in; `final` says that no more will come."""
        *lines, rest = (self._pending[stream] + self._decoders[stream].decode(data, final)).split("\n")
        whole = [line + "\n" for line in lines]
        while len(rest) > LONGEST or (final and rest):
            whole.append(rest[:LONGEST])
            rest = rest[LONGEST:]
        self._pending[stream] = rest
        if whole:
            self.said = whole[-1].rstrip("\r\n")
        self._append(stream, whole)

    def _append(self, stream: str, lines: list[str]) -> None:
        stamp = now()
        text = "".join(json.dumps({"log": line, "stream": stream, "time": stamp}) + "\n" for line in lines)
        try:
            os.write(self._file, text.encode())
        except OSError:  # a full disk must not stop the container, nor block it on a full pipe
            return
