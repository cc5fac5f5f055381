"""One request, and the place of its answer."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Protocol

import msgspec

JSON = b"content-type: application/json\r\n"
HELD_BYTES = 65_536
_OURS = b"%b-" % os.urandom(6).hex().encode()
_numbers = count(1)
_SANE_ID = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}").fullmatch
_encode = msgspec.json.Encoder().encode


class Channel(Protocol):
    """The connection an answer leaves by."""

    @property
    def congested(self) -> bool:
        """Whether the client takes less than it is sent."""
        ...

    def flush(self) -> None:
        """Send the answers that are due, in order."""
        ...

    def bound(self, flow: Flow) -> None:
        """Cut off a client for which more waits of an answer in parts than may."""
        ...


class Flow:
    """An answer in pieces: what is to be sent, whether its head has left, whether there will be more."""

    __slots__ = ("begun", "ended", "headers", "held", "pieces", "sent", "status")

    def __init__(self, status: int, headers: bytes) -> None:
        self.status = status
        self.headers = headers
        self.pieces: list[bytes] = []
        self.held = 0
        self.sent = 0
        self.begun = False
        self.ended = False

    def take(self, *, framed: bool) -> bytes:
        """Take what is there to send, as chunks where the answer is framed by them (RFC 9112, section 7.1)."""
        pieces, self.pieces = self.pieces, []
        self.sent += self.held
        self.held = 0
        if framed:
            pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
            if self.ended:
                pieces.append(b"0\r\n\r\n")
        return b"".join(pieces)


class Exchange(msgspec.Struct, eq=False):
    """One request and the place of its answer.

    `extra` are lines of the answer's head that others add to what `answer` or `begin` brings. `abandoned` is called
    when the client has gone before its answer was whole, `room` when it takes again what is sent to it. `whose` is for
    whoever shares requests out among several who answer.
    """

    connection: Channel | None
    method: bytes
    path: bytes
    headers: Mapping[bytes, bytes]
    query: bytes = b""
    body: bytes = b""
    began: float = 0.0
    old: bool = False
    close: bool = False
    extra: bytes = b""
    reply: tuple[int, bytes, bytes] | None = None
    flow: Flow | None = None
    abandoned: Callable[[], None] | None = None
    room: Callable[[], None] | None = None
    whose: Any = None
    _id: bytes = b""

    @property
    def id(self) -> bytes:
        """Give the request's name for logs: the client's `X-Request-Id` if it is a sane one, else one of our own."""
        if self._id:
            return self._id
        given = self.headers.get(b"x-request-id")
        self._id = found = given if given is not None and _SANE_ID(given) else b"%b%x" % (_OURS, next(_numbers))
        return found

    @property
    def gone(self) -> bool:
        """Say whether nobody waits for the answer any more."""
        return self.connection is None

    @property
    def full(self) -> bool:
        """Say whether the client takes less than it is sent: whoever can wait should, until `room` is called.

        Whoever cannot is cut off with the connection when `Limits.unsent_bytes` wait.
        """
        connection, flow = self.connection, self.flow
        return connection is not None and (connection.congested or (flow is not None and flow.held > HELD_BYTES))

    def answer(self, status: int, body: bytes, headers: bytes = JSON) -> None:
        """Answer once; what comes later, or after the client has gone, is dropped."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self.reply = (status, body, headers)
            connection.flush()

    def begin(self, status: int, headers: bytes = JSON) -> None:
        """Begin an answer whose length is not known; `send` and `end` follow."""
        if self.connection is not None:
            self.flow = Flow(status, headers)
            self.connection.flush()

    def send(self, piece: bytes) -> None:
        """Send a piece of an answer that was begun; it leaves at once when its turn has come."""
        if self.connection is not None and self.flow is not None:
            self.connection.bound(self.flow)
            self.flow.pieces.append(piece)
            self.flow.held += len(piece)
            self.connection.flush()

    def end(self) -> None:
        """End an answer that was begun."""
        connection, self.connection = self.connection, None
        if connection is not None and self.flow is not None:
            self.flow.ended = True
            connection.flush()

    def refuse(self, status: int, message: str, headers: bytes = b"") -> None:
        """Answer with the protocol's error form."""
        self.answer(status, _encode({"error": message}), JSON + headers)
