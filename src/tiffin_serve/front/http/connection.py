"""One client's connection: answers leave in the order of their requests, and nothing lasts for ever.

A connection that is refused is answered, half closed and drained for a moment, since closing it with unread bytes would
reset the answer away. A client that ends its side has gone, as most servers take it: one that gave up looks the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from tiffin_serve.front.http.desk import Desk
from tiffin_serve.front.http.exchange import Exchange, Flow
from tiffin_serve.front.http.reader import RequestReader

LINGER_SECONDS = 2
GONE = 499
LARGE = 65_536
_REASONS = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}


class Connection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_client",
        "_desk",
        "_left",
        "_paused",
        "_pending",
        "_reader",
        "_stall",
        "_transport",
        "_written",
        "congested",
    )

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reader = RequestReader(desk, self)
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._pending: list[Exchange] = []
        self._paused = False
        self._left = 0.0
        self._written = 0
        self._stall: tuple[float, int] | None = None
        self.congested = False

    # --- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # what a stream server makes
        self._desk.connections.add(self)
        if self._desk.log is not None:
            name = transport.get_extra_info("peername")
            self._client = name[0] if isinstance(name, tuple) else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client and everything it waits for."""
        del exc
        self._transport = None
        self._reader.forget()
        self._desk.connections.discard(self)
        pending, self._pending = self._pending, []
        for exchange in pending:
            unheard, exchange.connection = exchange.connection is not None, None
            self._count(exchange, GONE, exchange.flow.sent if exchange.flow else 0)
            if unheard and exchange.abandoned is not None:
                exchange.abandoned()

    @property
    def data_received(self) -> Callable[[bytes], None]:
        """Give who reads what comes, which a transport asks for once: a call less for each piece."""
        return self._reader.feed

    def eof_received(self) -> bool:
        """Let the client go; what is written still leaves."""
        return False

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read."""
        self.congested = True
        self._regulate()

    def resume_writing(self) -> None:
        """Read again, and tell whoever waits to send more."""
        self.congested = False
        self._regulate()
        for exchange in tuple(self._pending):
            if exchange.room is not None and not exchange.full:
                exchange.room()

    # --- the reader's side

    def take(self, exchange: Exchange) -> None:
        """Let a request be answered."""
        desk, pending = self._desk, self._pending
        pending.append(exchange)
        if len(pending) >= desk.limits.pipelined:
            self._regulate()
        desk.serve(exchange)

    def refuse(self, status: int, message: str, headers: bytes = b"") -> None:
        """Answer what could not be read as a request, and read no more."""
        self._reader.stop()
        exchange = Exchange(self, b"", b"", self._reader.headers)
        exchange.close = True
        if self._desk.dress is not None:
            self._desk.dress(exchange)
        self._pending.append(exchange)
        exchange.refuse(status, message, headers)

    def proceed(self) -> None:
        """Tell the client to send its body, unless answers are due before."""
        if not self._pending and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- answers

    def flush(self) -> None:
        """Send the answers that are due, in order."""
        pending = self._pending
        while pending:
            exchange = pending[0]
            if exchange.reply is not None:
                del pending[0]
                self._send(exchange)
            elif exchange.flow is None or not self._send_flow(exchange, exchange.flow):
                break
        if self._paused:
            self._regulate()

    def bound(self, flow: Flow) -> None:
        """Cut off a client for which more waits of an answer in parts than may."""
        transport = self._transport
        if transport is not None and flow.held + transport.get_write_buffer_size() > self._desk.limits.unsent_bytes:
            transport.abort()

    def _send(self, exchange: Exchange) -> None:
        transport, reply = self._transport, exchange.reply
        if transport is None or reply is None:
            return
        desk = self._desk
        status, body, headers = reply
        close = exchange.close or (desk.draining and not self._pending and not self._reader.reading)
        manner = b"connection: close\r\n" if close else b"connection: keep-alive\r\n" if exchange.old else b""
        length = len(body)
        if exchange.method == b"HEAD":
            body = b""
        data = b"%b%b%b%b%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % (
            _REASONS[status],
            headers,
            exchange.extra,
            desk.date,
            manner,
            exchange.id,
            length,
            body if length < LARGE else b"",
        )
        self._written += len(data)
        transport.write(data)
        desk.answered(exchange, status)
        if close or desk.log is not None or length >= LARGE:
            self._after(exchange, transport, status, body, close=close)

    def _after(
        self, exchange: Exchange, transport: asyncio.Transport, status: int, body: bytes, *, close: bool
    ) -> None:
        """Do what few answers need: send a large body without a copy, log, hang up."""
        if len(body) >= LARGE:
            self._written += len(body)
            transport.write(body)
        if self._desk.log is not None:
            self._desk.log.note(exchange, self._client, status, len(body))
        if close:
            self._hang_up(transport, linger=exchange.method == b"")

    def _send_flow(self, exchange: Exchange, flow: Flow) -> bool:
        """Send what there is of an answer in pieces, chunked or until the end; say whether it is all."""
        transport, head, waited = self._transport, b"", False
        if transport is None:
            return False
        if not flow.begun:
            flow.begun = True
            exchange.close |= exchange.old or self._desk.draining
            head, waited = self._flow_head(exchange, flow), exchange.full
        body = flow.take(framed=not exchange.old)
        self._write(transport, head if exchange.method == b"HEAD" else head + body)
        if not flow.ended:
            if waited and exchange.room is not None and not self.congested:
                exchange.room()
            return False
        del self._pending[0]
        self._count(exchange, flow.status, flow.sent)
        if exchange.close:
            self._hang_up(transport, linger=False)
        return True

    def _flow_head(self, exchange: Exchange, flow: Flow) -> bytes:
        return b"%b%b%b%b%b%bx-request-id: %b\r\n\r\n" % (
            _REASONS[flow.status],
            flow.headers,
            exchange.extra,
            self._desk.date,
            b"connection: close\r\n" if exchange.close else b"",
            b"" if exchange.old else b"transfer-encoding: chunked\r\n",
            exchange.id,
        )

    def _write(self, transport: asyncio.Transport, data: bytes) -> None:
        self._written += len(data)
        transport.write(data)

    def _count(self, exchange: Exchange, status: int, size: int) -> None:
        desk = self._desk
        desk.answered(exchange, status)
        if desk.log is not None:
            desk.log.note(exchange, self._client, status, size)

    def _hang_up(self, transport: asyncio.Transport, *, linger: bool) -> None:
        self._reader.stop()
        self._left = self._desk.now
        if linger and transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def _regulate(self) -> None:
        """Read exactly while there is room for what is read and the client takes its answers."""
        pause = self.congested or len(self._pending) >= self._desk.limits.pipelined
        if self._transport is not None and pause is not self._paused and not self._transport.is_closing():
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._reader.restart_clock()
                self._transport.resume_reading()

    # --- time

    @property
    def busy(self) -> bool:
        """Say whether a request is being read or answered."""
        return bool(self._pending) or self._reader.reading

    @property
    def fresh(self) -> bool:
        """Say whether nothing was heard of the client yet."""
        return not self._reader.since

    @property
    def in_flight(self) -> int:
        """Count the requests that are not answered yet."""
        return len(self._pending)

    def close(self) -> None:
        """Close after what is written has left."""
        if self._transport is not None:
            self._transport.close()

    def check_time(self) -> None:
        """Close what took too long: a head, a body, an answer that is not read, a connection without a request."""
        transport = self._transport
        if transport is None:
            return
        if unsent := transport.get_write_buffer_size():
            if self._stuck(self._written - unsent):
                transport.abort()
            return
        self._stall = None
        if self._reader.reading:
            if not self._paused and self._reader.late():
                seconds = self._desk.limits.header_seconds
                self.refuse(408, f"the request was not complete after {seconds:g} seconds")
        elif not self._pending:
            self._check_idle(transport)

    def _check_idle(self, transport: asyncio.Transport) -> None:
        now, reader, limits = self._desk.now, self._reader, self._desk.limits
        if reader.deaf:
            if now - self._left > LINGER_SECONDS:
                transport.abort()
        elif now - reader.heard > (limits.idle_seconds if reader.since else limits.first_byte_seconds):
            transport.close()

    def _stuck(self, taken: int) -> bool:
        """Say whether the client took fewer bytes than it must, of those that wait for it."""
        now, limits = self._desk.now, self._desk.limits
        if self._stall is None:
            self._stall = (now, taken)
        since, before = self._stall
        if now - since < limits.write_seconds:
            return False
        self._stall = (now, taken)
        return taken - before < limits.least_rate * (now - since)
