"""HTTP/1.1 connections: keep-alive, pipelining, limits, time-outs; what is asked and answered is none of its business.

Parsing is httptools' (llhttp, strict). Answers leave in the order of their requests. A connection that is refused is
answered, half closed and drained for a moment, since closing it with unread bytes would reset the answer away.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import httptools
import msgspec

from tiffin_serve.front.log import report

_REASONS = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_OF_INTEREST = {
    b"host",
    b"content-length",
    b"content-encoding",
    b"expect",
    b"inference-header-content-length",
    b"accept",
    b"accept-encoding",
    b"content-type",
    b"if-none-match",
}
JSON = b"content-type: application/json\r\n"
LINGER_SECONDS = 2


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may take: bytes of head and body, seconds of patience, requests read ahead."""

    head_bytes: int = 32_768
    body_bytes: int = 67_108_864
    header_seconds: float = 10
    idle_seconds: float = 75
    pipelined: int = 64


class Desk:
    """What all connections of one server share: limits, clock, who answers, and who is connected."""

    def __init__(self, serve: Callable[[Exchange], None], limits: Limits) -> None:
        self.serve = serve
        self.limits = limits
        self.connections: set[Connection] = set()
        self.draining = False
        self.now = 0.0
        self.date = b""
        self.answered: Callable[[Exchange, int], None] = _nobody
        self.tick()

    def tick(self) -> None:
        """Look at the clock, and close the connections that took too long; call it about once a second."""
        self.now = time.monotonic()
        self.date = time.strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime()).encode()
        for connection in tuple(self.connections):
            connection.check_time()

    @property
    def busy(self) -> bool:
        """Say whether any request is being read or answered."""
        return any(connection.busy for connection in self.connections)

    @property
    def in_flight(self) -> int:
        """Count the requests that are not answered yet."""
        return sum(connection.in_flight for connection in self.connections)

    def close_idle(self) -> None:
        """Close the connections on which nothing is going on."""
        for connection in tuple(self.connections):
            if not connection.busy:
                connection.close()


def _path(url: bytes) -> bytes:
    """Give the path of a target, which proxies may send with scheme and host (RFC 9112, section 3.2.2)."""
    path = url.partition(b"?")[0]
    if path.startswith(b"/"):
        return path
    _, _, rest = path.partition(b"://")
    return b"/" + rest.partition(b"/")[2]


def _nobody(_: Exchange, __: int) -> None:
    """Count nothing."""


class Flow:
    """An answer in pieces: what is to be sent, whether its head has left, whether there will be more."""

    __slots__ = ("begun", "ended", "headers", "pieces", "status")

    def __init__(self, status: int, headers: bytes) -> None:
        self.status = status
        self.headers = headers
        self.pieces: list[bytes] = []
        self.begun = False
        self.ended = False


class Exchange:
    """One request and the place of its answer."""

    __slots__ = (
        "abandoned",
        "began",
        "body",
        "close",
        "connection",
        "flow",
        "headers",
        "method",
        "old",
        "path",
        "query",
        "reply",
    )

    def __init__(self, connection: Connection, method: bytes, path: bytes, headers: dict[bytes, bytes]) -> None:
        self.connection: Connection | None = connection
        self.began = time.monotonic()
        self.method = method
        self.path = path
        self.headers = headers
        self.body = b""
        self.close = False
        self.old = False
        self.query = b""
        self.reply: tuple[int, bytes, bytes] | None = None
        self.flow: Flow | None = None
        self.abandoned: Callable[[], None] | None = None

    @property
    def gone(self) -> bool:
        """Say whether nobody waits for the answer any more."""
        return self.connection is None

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
            self.flow.pieces.append(piece)
            self.connection.flush()

    def end(self) -> None:
        """End an answer that was begun."""
        connection, self.connection = self.connection, None
        if connection is not None and self.flow is not None:
            self.flow.ended = True
            connection.flush()

    def refuse(self, status: int, message: str, headers: bytes = b"") -> None:
        """Answer with the protocol's error form."""
        self.answer(status, msgspec.json.encode({"error": message}), JSON + headers)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._pending: deque[Exchange] = deque()
        self._deaf = False
        self._in_head = False
        self._in_body = False
        self._unread = 0
        self._since = desk.now
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._paused = False
        self._congested = False

    # --- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # what a stream server makes
        self._since = self._desk.now
        self._desk.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client and everything it waits for."""
        del exc
        self._transport = None
        self._deaf = True
        self._desk.connections.discard(self)
        for exchange in self._pending:
            if exchange.connection is not None:
                exchange.connection = None
                self._desk.answered(exchange, 499)
                if exchange.abandoned is not None:
                    exchange.abandoned()
        self._pending.clear()

    def data_received(self, data: bytes) -> None:
        """Read what came; a parser that gives up costs the connection."""
        if self._deaf:
            return
        if not self._in_head:
            self._since = self._desk.now
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # the upgrade is declined by a plain answer, after which the connection closes
        except httptools.HttpParserCallbackError as error:
            report("a request could not be read", error=repr(error.__context__))
            self._refuse(500, "internal error")
        except httptools.HttpParserError as error:
            self._refuse(400, f"not valid HTTP: {error}")
        if self._in_head and not self._deaf:
            self._unread += len(data)
            if self._unread > self._desk.limits.head_bytes:
                self._refuse(431, f"the head of the request is larger than {self._desk.limits.head_bytes} bytes")

    def eof_received(self) -> bool:
        """Take an end for a client that has gone, as most servers do: a client that gave up looks the same."""
        return False

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read."""
        self._congested = True
        self._regulate()

    def resume_writing(self) -> None:
        """Read again."""
        self._congested = False
        self._regulate()

    # --- the parser's side

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._deaf:
            return
        self._in_head = True
        self._since = self._desk.now
        self._unread = 0
        self._url = b""
        self._headers = {}
        self._body = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Take the target, which may come in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are ignored."""
        if self._in_head:
            self._size += len(name) + len(value)
            key = name.lower()
            if key in _OF_INTEREST:
                self._headers[key] = value

    def on_headers_complete(self) -> None:
        """Refuse what will not be read; say 100 Continue where it will."""
        if self._deaf:
            return
        self._in_head, self._in_body = False, True
        headers, limits = self._headers, self._desk.limits
        if self._size + len(self._url) > limits.head_bytes:
            self._refuse(431, f"the head of the request is larger than {limits.head_bytes} bytes")
        elif b"host" not in headers and self._parser.get_http_version() == "1.1":
            self._refuse(400, "the header `Host` is missing")
        elif int(headers.get(b"content-length", b"0")) > limits.body_bytes:
            self._refuse(413, f"the body is larger than {limits.body_bytes} bytes")
        elif headers.get(b"content-encoding", b"identity").lower() != b"identity":
            self._refuse(415, "the header `Content-Encoding` must be `identity`")
        elif b"expect" in headers:
            self._expect(headers[b"expect"])
        self._size = 0

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._deaf:
            return
        self._size += len(body)
        if self._size > self._desk.limits.body_bytes:
            self._refuse(413, f"the body is larger than {self._desk.limits.body_bytes} bytes")
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Hand the request over."""
        if self._deaf:
            return
        self._in_head = self._in_body = False
        parser, body = self._parser, self._body
        exchange = Exchange(self, parser.get_method(), _path(self._url), self._headers)
        exchange.query = self._url.partition(b"?")[2]
        exchange.body = body[0] if len(body) == 1 else b"".join(body)
        exchange.old = parser.get_http_version() == "1.0"
        self._body = []
        if not parser.should_keep_alive() or parser.should_upgrade():
            exchange.close = self._deaf = True
        self._pending.append(exchange)
        if len(self._pending) >= self._desk.limits.pipelined:
            self._regulate()
        self._desk.serve(exchange)

    # --- answers

    def flush(self) -> None:
        """Send the answers that are due, in order."""
        while self._pending:
            exchange = self._pending[0]
            if exchange.reply is not None:
                self._pending.popleft()
                self._send(exchange)
            elif exchange.flow is None or not self._send_flow(exchange, exchange.flow):
                break
        if self._paused:
            self._regulate()

    def _send(self, exchange: Exchange) -> None:
        transport, reply = self._transport, exchange.reply
        if transport is None or reply is None:
            return
        status, body, headers = reply
        self._desk.answered(exchange, status)
        close = exchange.close or (
            self._desk.draining and not self._pending and not self._in_head and not self._in_body
        )
        manner = b"connection: close\r\n" if close else b"connection: keep-alive\r\n" if exchange.old else b""
        content = b"" if exchange.method == b"HEAD" else body
        transport.write(
            b"%b%b%b%bcontent-length: %d\r\n\r\n%b"
            % (_REASONS[status], headers, self._desk.date, manner, len(body), content)
        )
        if close:
            self._deaf = True
            self._hang_up(transport, linger=exchange.method == b"")

    def _send_flow(self, exchange: Exchange, flow: Flow) -> bool:
        """Send what there is of an answer in pieces, chunked or until the end; say whether it is all."""
        transport, head = self._transport, b""
        if transport is None:
            return False
        if not flow.begun:
            flow.begun = True
            exchange.close |= exchange.old or self._desk.draining
            manner = b"connection: close\r\n" if exchange.close else b""
            framing = b"" if exchange.old else b"transfer-encoding: chunked\r\n"
            head = b"%b%b%b%b%b\r\n" % (_REASONS[flow.status], flow.headers, self._desk.date, manner, framing)
        pieces = (
            flow.pieces if exchange.old else [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in flow.pieces if piece]
        )
        flow.pieces = []
        if flow.ended and not exchange.old:
            pieces.append(b"0\r\n\r\n")
        transport.write(head if exchange.method == b"HEAD" else b"".join([head, *pieces]))
        if not flow.ended:
            return False
        self._pending.popleft()
        self._desk.answered(exchange, flow.status)
        if exchange.close:
            self._deaf = True
            self._hang_up(transport, linger=False)
        return True

    def _hang_up(self, transport: asyncio.Transport, *, linger: bool) -> None:
        self._since = self._desk.now
        if linger and transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answer what could not be read as a request, and read no more."""
        exchange = Exchange(self, b"", b"", {})
        exchange.close = True
        self._deaf, self._in_head, self._in_body = True, False, False
        self._pending.append(exchange)
        exchange.refuse(status, message)

    def _expect(self, expectation: bytes) -> None:
        if expectation.lower() != b"100-continue":
            self._refuse(417, "the header `Expect` may only be `100-continue`")
        elif not self._pending and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _regulate(self) -> None:
        """Read exactly while there is room for what is read and the client takes its answers."""
        pause = self._congested or len(self._pending) >= self._desk.limits.pipelined
        if self._transport is not None and pause is not self._paused and not self._transport.is_closing():
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    # --- time

    @property
    def busy(self) -> bool:
        """Say whether a request is being read or answered."""
        return bool(self._pending) or ((self._in_head or self._in_body) and not self._deaf)

    @property
    def in_flight(self) -> int:
        """Count the requests that are not answered yet."""
        return len(self._pending)

    def close(self) -> None:
        """Close after what is written has left."""
        if self._transport is not None:
            self._transport.close()

    def check_time(self) -> None:
        """Close what took too long: a head from its start, a body from its last byte, an idle connection."""
        waited, limits = self._desk.now - self._since, self._desk.limits
        if self._transport is None or (self._pending and not self._in_head):
            return
        if self._deaf:
            if waited > LINGER_SECONDS:
                self._transport.abort()
        elif self._in_head or self._in_body:
            if waited > limits.header_seconds and not self._paused:
                self._refuse(408, f"the request was not complete after {limits.header_seconds:g} seconds")
        elif waited > limits.idle_seconds:
            self._transport.close()
