"""Numbered channels over one WebSocket, as an API server has them for what runs in pods; driven by `poll`, no threads.

A message's first byte is its channel (k8s.io/streaming, `wsstream`). The protocol `v5.channel.k8s.io` can end one of
them as well: the channel 255, with the number of the one that ends.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import select
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import urllib3
from urllib3.util.ssltransport import SSLTransport
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from tiffin.deploy.kubernetes.client.asking import Asking, Question
from tiffin.errors import UnavailableError, UnsupportedError

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
ENOUGH = 1 << 18
"""Bytes that may wait to be sent before no more are taken."""
_CLOSES = 255
_SWITCHING = 101
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PIECE = 1 << 16
_AT_ONCE = 1 << 20
_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def open_channels(
    asking: Asking, path: str, query: Mapping[str, str | Sequence[str]], protocols: Sequence[str]
) -> Channels:
    """Open channels, by the first of these protocols that the server speaks; raises UnsupportedError for none."""
    key = base64.b64encode(os.urandom(16))
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key.decode(),
        "Sec-WebSocket-Protocol": ", ".join(protocols),
    }
    question = Question(path=path, query=query, headers=headers, accept="*/*")
    response = asking.upgrade(question)
    promised = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
    protocol = response.headers.get("Sec-WebSocket-Protocol", "")
    kept = response.headers.get("Sec-WebSocket-Accept", "") == promised
    if response.status != _SWITCHING or not kept or protocol not in protocols:
        response.close()
        hint = "a proxy on the way may not let WebSockets through: let the kubeconfig name the server's own address"
        raise UnsupportedError(f"{asking.shown(question)}: no WebSocket of {' or '.join(protocols)} came about", hint)
    return Channels(response, protocol)


class Channels:
    """An open connection; `poll` says when it can be read or written, `turn` then does so."""

    def __init__(self, response: urllib3.BaseHTTPResponse, protocol: str) -> None:
        """Go on where the answer to the request ended."""
        self.protocol = protocol
        self.ended = False
        self._response = response
        self._socket: Any = response.connection.sock  # type: ignore[union-attr]
        self._frames = Connection(ConnectionType.CLIENT)
        self._sending = bytearray()
        self._channel: int | None = None
        self._socket.settimeout(0)
        self._early = _buffered(response)

    def __enter__(self) -> Self:
        """Be open for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Say that it is over, where that can be said at once, and hang up."""
        if not self.ended:
            with contextlib.suppress(OSError, LocalProtocolError):
                self._put(CloseConnection(code=1000))
                self._write()
        self._response.close()
        with contextlib.suppress(OSError):
            self._socket.close()

    def fileno(self) -> int:
        """What to poll."""
        return int(self._socket.fileno())

    @property
    def waiting(self) -> int:
        """Bytes that are not sent yet."""
        return len(self._sending)

    @property
    def interest(self) -> int:
        """What to poll it for."""
        return select.POLLIN | (select.POLLOUT if self._sending else 0)

    @property
    def has_more(self) -> bool:
        """Whether there is something to read that no poll would tell of."""
        pending = getattr(self._socket, "pending", None)
        return bool(self._early or (pending and pending()))

    @property
    def can_end(self) -> bool:
        """Whether one channel can be ended alone."""
        return self.protocol == V5

    def send(self, channel: int, data: bytes) -> None:
        """Have something sent as soon as it can be."""
        self._put(BytesMessage(data=bytes([channel]) + data))

    def end(self, channel: int) -> None:
        """Say that nothing more comes on a channel, where the protocol can say so."""
        if self.can_end:
            self._put(BytesMessage(data=bytes([_CLOSES, channel])))

    def ping(self) -> None:
        """Let nobody on the way think that this is over."""
        self._put(Ping(payload=b""))

    def turn(self, ready: int) -> Iterator[tuple[int, bytes]]:
        """Send and receive what can be by now, and return what came on which channel."""
        if self._sending:
            self._write()
        if self._early or ready & ~select.POLLOUT or self.has_more:
            yield from self._read()
        if self._sending:  # answers to pings
            self._write()

    def _put(self, event: Event) -> None:
        if not self.ended:
            self._sending += self._frames.send(event)

    def _write(self) -> None:
        try:
            while self._sending:
                sent = self._send(bytes(self._sending[:_PIECE]))
                del self._sending[:sent]
        except _WAIT:
            return
        except OSError as error:
            self.ended = True
            raise _broken(error) from error

    def _send(self, piece: bytes) -> int:
        """Send some of it; TLS within TLS, as by a proxy that is asked in TLS, can only send all."""
        if not isinstance(self._socket, SSLTransport) and not isinstance(
            getattr(self._socket, "_socket", None), SSLTransport
        ):
            return int(self._socket.send(piece))
        self._socket.settimeout(None)
        try:
            self._socket.sendall(piece)
        finally:
            self._socket.settimeout(0)
        return len(piece)

    def _read(self) -> Iterator[tuple[int, bytes]]:
        """Read until nothing is there, or that is enough for once."""
        taken = 0
        while taken < _AT_ONCE and not self.ended:
            data, self._early = self._early or self._received(), b""
            if data is None:
                return
            taken += len(data)
            try:
                self._frames.receive_data(data or None)
                yield from self._told()
            except RemoteProtocolError as error:
                self.ended = True
                raise _broken(error) from error

    def _received(self) -> bytes | None:
        """What is there; None for nothing, and no bytes for the end."""
        try:
            return bytes(self._socket.recv(_PIECE))
        except _WAIT:
            return None
        except (ConnectionResetError, ssl.SSLEOFError):
            return b""
        except OSError as error:
            self.ended = True
            raise _broken(error) from error

    def _told(self) -> Iterator[tuple[int, bytes]]:
        for event in self._frames.events():
            if isinstance(event, Message):
                yield from self._message(event)
            elif isinstance(event, Ping):
                with contextlib.suppress(LocalProtocolError):
                    self._put(Pong(payload=event.payload))
            elif isinstance(event, CloseConnection):
                self.ended = True

    def _message(self, event: Message[Any]) -> Iterator[tuple[int, bytes]]:
        """A message, or what has come of it."""
        data = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
        if self._channel is None and data:
            self._channel, data = data[0], data[1:]
        if self._channel is not None and data:
            yield self._channel, data
        if event.message_finished:
            self._channel = None


def _buffered(response: urllib3.BaseHTTPResponse) -> bytes:
    """What the reader of the answer has read beyond it: servers may speak first."""
    reader = response._fp.fp  # type: ignore[attr-defined] # noqa: SLF001 - http.client's, which nobody else hands out
    with contextlib.suppress(*_WAIT, socket.timeout):
        return bytes(reader.peek())
    return b""


def _broken(error: Exception) -> UnavailableError:
    return UnavailableError(f"the connection to the cluster broke: {error}", "do it again")
