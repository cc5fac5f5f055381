"""What containers wrote, line by line, taken up again where a connection broke."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from tiffin.deploy.kubernetes.client.asking import Asking, Question
from tiffin.deploy.kubernetes.client.lines import split_lines
from tiffin.engine.spec import LogLine
from tiffin.network import BusyError

_QUIET_SECONDS = 3600.0
"""A container may have nothing to say for so long; then it is asked for anew, lest the connection be gone."""
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines: of a container (the pod's only one), the last `tail`, all that come, those of the one before."""

    path: str
    container: str = ""
    follow: bool = False
    tail: int | None = None
    previous: bool = False

    def question(self, recent: list[bytes]) -> Question:
        """Ask for them, from the second on in which the last one came."""
        query = {"timestamps": "true"}
        query |= {"container": self.container} if self.container else {}
        query |= {"follow": "true"} if self.follow else {}
        query |= {"previous": "true"} if self.previous else {}
        if recent and (found := _TIME.match(recent[-1])):
            query["sinceTime"] = b"".join(found.groups()).decode()
        elif self.tail is not None:
            query["tailLines"] = str(self.tail)
        return Question(path=self.path, query=query, accept="*/*")


def read_log(asking: Asking, log: Log) -> Iterator[LogLine]:
    """Return the lines that a container wrote, and until it ends those that it writes, where they are followed."""
    failed = 0
    recent: list[bytes] = []
    while True:
        try:
            silence = _QUIET_SECONDS if log.follow else asking.patience.silence
            with asking.stream(log.question(recent), silence) as pieces:
                for line in _beyond(recent, split_lines(pieces)):
                    recent = [*(recent if recent and _second(recent[-1]) == _second(line) else ()), line]
                    failed = 0
                    yield _read(line)
        except BusyError as error:
            failed += 1
            asking.patience.wait(error, failed)
        else:
            return


def _beyond(told: list[bytes], lines: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out what was told before the connection broke: a server goes back to the beginning of a second."""
    pending = list(told)
    for line in lines:
        if line in pending:
            pending.remove(line)
        else:
            yield line


def _second(line: bytes) -> bytes:
    found = _TIME.match(line)
    return found[1] if found else b""


def _read(line: bytes) -> LogLine:
    time, _, text = line.decode(errors="replace").partition(" ")
    return LogLine(time=time, stream="", text=text.removesuffix("\r"))
