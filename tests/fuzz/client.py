"""A lean client: trains of requests over one connection, every answer looked at as it comes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from fuzz.cases import Request
from fuzz.subjects import holds

HEAD = re.compile(rb"HTTP/1\.1 (\d\d\d) [^\r\n]*\r\n")
ALLOWED = {200, 400, 404, 405, 413, 415, 501}
"""What may be answered to a request that is one; nothing here is the model's fault, or the server's."""
ALLOWED_BROKEN = ALLOWED | {408, 417, 431, 505}
PRIVATE = re.compile(rb'Traceback|File "|\.py\b|/site-packages|tiffin_serve|/tmp/pytest')
GRACE = 0.01
"""How long, in seconds, a client waits for what the server makes of broken bytes, before it goes."""


class Answer(NamedTuple):
    """One answer as it came."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class ProblemError(Exception):
    """An answer is not what it may be."""


def read_answer(buffer: bytearray, *, head: bool) -> Answer | None:
    """Take one whole answer off a buffer, or None; raises ProblemError where it is none."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = HEAD.match(buffer)
    if found is None:
        raise ProblemError(f"not an answer: {bytes(buffer[:200])!r}")
    lines = [line.partition(b": ") for line in bytes(buffer[found.end() : end]).split(b"\r\n") if line]
    headers = {name: value for name, _, value in lines}
    status = int(found[1])
    if headers.get(b"transfer-encoding") == b"chunked":
        piece = None if head else _chunks(buffer, end + 4)
        body, size = (b"", end + 4) if head else piece or (b"", 0)
        if not size:
            return None
    else:
        length = 0 if head or status < 200 else int(headers[b"content-length"])
        size = end + 4 + length
        if len(buffer) < size:
            return None
        body = bytes(buffer[end + 4 : size])
    del buffer[:size]
    return Answer(status, headers, body)


def _chunks(buffer: bytearray, position: int) -> tuple[bytes, int] | None:
    pieces = []
    while (end := buffer.find(b"\r\n", position)) >= 0:
        length = int(bytes(buffer[position:end]), 16)
        pieces.append(bytes(buffer[end + 2 : end + 2 + length]))
        position = end + 4 + length
        if length == 0:
            return (b"".join(pieces), position) if len(buffer) >= position else None
    return None


def examine(request: Request, answer: Answer) -> None:
    """Look at an answer; raises ProblemError."""
    broken = request.case.breaking is not None
    allowed = ALLOWED_BROKEN if broken else ALLOWED
    if answer.status not in allowed:
        raise ProblemError(f"status {answer.status}: {answer.body[:300]!r}")
    if PRIVATE.search(answer.body):
        raise ProblemError(f"it tells what is not the client's: {answer.body[:300]!r}")
    if request.cut and answer.status == 200:
        raise ProblemError("half a request was answered as a whole one")
    if not broken and answer.headers.get(b"x-request-id") != request.case.name:
        raise ProblemError(f"the answer is {answer.headers.get(b'x-request-id')!r}'s")
    document = document_of(answer)
    if answer.status != 200 and not request.head and (answer.body or not broken) and not is_error(document):
        raise ProblemError(f"not the form of an error: {answer.body[:300]!r}")
    if not request.case.mutations and not broken:
        _examine_twin(request, answer, document)


def _examine_twin(request: Request, answer: Answer, document: Any) -> None:
    if answer.status != 200:
        raise ProblemError(f"a valid request was refused with {answer.status}: {answer.body[:300]!r}")
    if request.expected is not None and not holds(request.expected, document):
        raise ProblemError(f"expected {request.expected} but got {answer.body[:500]!r}")


def is_error(document: Any) -> bool:
    """Say whether a document has the one form that errors have."""
    return isinstance(document, dict) and list(document) == ["error"] and isinstance(document["error"], str)


def document_of(answer: Answer) -> Any:
    """Read what an answer says where it is JSON; raises ProblemError."""
    if answer.headers.get(b"content-type") != b"application/json" or not answer.body:
        return None
    try:
        return msgspec.json.decode(answer.body)
    except (ValueError, RecursionError) as error:
        raise ProblemError(f"not JSON ({error}): {answer.body[:300]!r}") from error


class Line(asyncio.Protocol):
    """One connection; `done` is called with None or what was wrong when a train has been answered or the line ended."""

    def __init__(self, done: Callable[[Line, str | None], None]) -> None:
        self.answered = 0
        self.open = True
        self.since = 0.0
        self.task: asyncio.Task[None] | None = None
        self.train: Sequence[Request] = ()
        self._done = done
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._place = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, train: Sequence[Request], cuts: Sequence[int] = ()) -> None:
        """Send requests one behind the other, in pieces where cuts are given."""
        assert self._transport is not None
        self.train, self._place = train, 0
        data = b"".join([request.data for request in train])
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            self._transport.write(data[start:end])
        if len(train) == 1 and train[0].case.breaking:
            self._wait()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while self._buffer and self.train:
                request = self.train[self._place]
                answer = read_answer(self._buffer, head=request.head)
                if answer is None:
                    return
                self._take(request, answer)
        except (ProblemError, ValueError, KeyError) as error:
            self._end(str(error))

    def _take(self, request: Request, answer: Answer) -> None:
        if answer.status == 100:
            return
        examine(request, answer)
        self.answered += 1
        last = self._place == len(self.train) - 1
        if request.case.breaking is None:
            if answer.headers.get(b"connection") == b"close" and 400 <= answer.status < 500 and request.case.mutations:
                self._end(None)
            elif last:
                self.train = ()
                self._done(self, None)
            else:
                self._place += 1
                if self._place == len(self.train) - 1 and self.train[-1].case.breaking:
                    self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(GRACE, self._go)

    def _go(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.open:
            return
        self.open = False
        if not self.train:
            self._done(self, "the server closed a connection that was in order")
        elif self.train[self._place].case.breaking is None:
            self._done(self, f"the connection ended ({exc}) before {self.train[self._place].case.name!r} was answered")
        elif self._buffer and exc is None and not self.train[self._place].head:  # broken, it may be a HEAD no more
            self._done(self, f"half an answer: {bytes(self._buffer[:200])!r}")
        else:
            self._done(self, None)

    def leave(self) -> None:
        """Close, whatever is still to come."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def _end(self, problem: str | None) -> None:
        """Close the connection ourselves."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()
        self._done(self, problem)
