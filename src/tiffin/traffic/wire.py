"""Answers of HTTP/1.1 as they arrive on one connection: no more than a load needs to know of them."""

from __future__ import annotations

import msgspec

HEAD_END = b"\r\n\r\n"
NO_BODY = {204, 304}
FIRST_ERROR = 400
"""The first status that says the request was not answered with success (RFC 9110, section 15)."""


class Answer(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    body: bytes
    keep: bool


class WireError(Exception):
    """What arrived is not an answer."""


class AnswerReader:
    """Cuts what arrives into answers."""

    def __init__(self) -> None:
        self._buffer = b""
        self._head: tuple[int, int, int | None, bool] | None = None

    @property
    def begun(self) -> bool:
        """Say whether a part of an answer is here."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Answer | None:
        """Take what arrived; gives the answer when it is whole; raises WireError."""
        self._buffer += data
        if self._head is None:
            end = self._buffer.find(HEAD_END)
            if end < 0:
                return None
            self._head = _read_head(self._buffer[:end], end + len(HEAD_END))
        status, start, length, keep = self._head
        if length is None:
            found = _chunks(self._buffer, start)
            return None if found is None else self._done(status, *found, keep=keep)
        if len(self._buffer) < start + length:
            return None
        return self._done(status, self._buffer[start : start + length], start + length, keep=keep)

    def _done(self, status: int, body: bytes, end: int, *, keep: bool) -> Answer:
        self._buffer, self._head = self._buffer[end:], None
        return Answer(status, body, keep)


def _read_head(head: bytes, start: int) -> tuple[int, int, int | None, bool]:
    """Read status, where the body starts, its length (None: chunked), and whether more may come."""
    lines = head.lower().split(b"\r\n")
    try:
        version, status = lines[0].split(b" ", 2)[:2]
        code = int(status)
        fields = dict(line.split(b":", 1) for line in lines[1:])
        length = int(fields.get(b"content-length", b"0"))
    except ValueError as error:
        raise WireError("what came is not HTTP") from error
    keep = b"close" not in fields.get(b"connection", b"") and version == b"http/1.1"
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return code, start, None, keep
    if b"content-length" not in fields and code not in NO_BODY:
        raise WireError("an answer has no length")
    return code, start, length, keep


def _chunks(data: bytes, position: int) -> tuple[bytes, int] | None:
    """Put the chunks of a body together; None while some are missing."""
    pieces = []
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            return None
        try:
            size = int(data[position:end].partition(b";")[0], 16)
        except ValueError as error:
            raise WireError("a chunk has no size") from error
        start = end + 2
        if len(data) < start + size + 2:
            return None
        pieces.append(data[start : start + size])
        position = start + size + 2
        if size == 0:
            return b"".join(pieces), position
