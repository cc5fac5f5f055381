"""Answers that leave compressed, for clients that say they read it (RFC 9110, section 12.5.3).

Only what is text and long is worth it. What would keep the event loop for more than a millisecond is compressed by a
thread; answers still leave in the order of their requests. An answer in parts is sent as it comes.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from functools import lru_cache, partial
from typing import cast

from tiffin_serve.front.http.bodies import zstd
from tiffin_serve.front.http.exchange import Channel, Exchange, Flow

LEAST = 4096
"""Bytes from which on an answer is compressed."""
LARGE = 65_536
"""Bytes from which on a thread does it."""
TEXTS = (b"application/json", b"application/x-ndjson", b"text/", b"image/svg+xml")
VARY = b"vary: accept-encoding\r\n"
GZIP = 31
Answer = tuple[int, bytes, bytes]
"""Status, body and headers."""
_CODINGS = {"gzip": b"gzip", "x-gzip": b"gzip", "zstd": b"zstd"}


class Compression:
    """Stands before whoever serves, and has long answers compressed."""

    def __init__(self, serve: Callable[[Exchange], None], loop: asyncio.AbstractEventLoop) -> None:
        self._serve = serve
        self._loop = loop

    def serve(self, exchange: Exchange) -> None:
        """Let a request be answered, by way of a compressor where its client reads what that writes."""
        exchange.extra += VARY
        accept = exchange.headers.get(b"accept-encoding")
        coding = chosen(accept) if accept else b""
        if coding and exchange.connection is not None:
            exchange.connection = Compressing(exchange, exchange.connection, coding, self._loop)
        self._serve(exchange)


class Compressing:
    """The way of one answer to its connection."""

    __slots__ = ("_channel", "_coding", "_exchange", "_loop")

    def __init__(self, exchange: Exchange, channel: Channel, coding: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._channel = channel
        self._coding = coding
        self._loop = loop

    @property
    def congested(self) -> bool:
        """Whether the client takes less than it is sent."""
        return self._channel.congested

    def bound(self, flow: Flow) -> None:
        """Cut off a client for which more waits of an answer in parts than may."""
        self._channel.bound(flow)

    def flush(self) -> None:
        """Compress an answer that is whole and worth it, and send what is due."""
        reply = self._exchange.reply
        if reply is not None and is_worth_it(reply):
            if len(reply[1]) < LARGE:
                self._exchange.reply = compressed(reply, self._coding)
            else:
                self._exchange.reply = None
                elsewhere = self._loop.run_in_executor(None, compressed, reply, self._coding)
                elsewhere.add_done_callback(partial(self._send, reply))
                return
        self._channel.flush()

    def _send(self, reply: Answer, done: asyncio.Future[Answer]) -> None:
        """Send what a thread has compressed; where it could not, the answer leaves as it is."""
        failed = done.cancelled() or done.exception() is not None
        self._exchange.reply = reply if failed else done.result()
        self._channel.flush()


def is_worth_it(reply: Answer) -> bool:
    """Say whether an answer is long text that nobody has compressed yet."""
    _, body, headers = reply
    if len(body) < LEAST or b"content-encoding:" in headers:
        return False
    return headers.startswith(tuple(b"content-type: " + kind for kind in TEXTS))


def compressed(reply: Answer, coding: bytes) -> Answer:
    """Compress an answer quickly; its entity tag is a weak one then, since these are other bytes (section 8.8.1)."""
    status, body, headers = reply
    if coding == b"zstd":
        packed = cast("bytes", zstd().compress(body, 1))
    else:
        deflate = zlib.compressobj(1, zlib.DEFLATED, GZIP)
        packed = deflate.compress(body) + deflate.flush()
    headers = headers.replace(b'etag: "', b'etag: W/"') + b"content-encoding: %b\r\n" % coding
    return status, packed, headers


@lru_cache(maxsize=64)
def chosen(accept: bytes) -> bytes:
    """Choose the coding that a header Accept-Encoding likes best, of two alike zstd; empty where there is none."""
    likes: dict[bytes, float] = {}
    for item in accept.decode("latin-1").lower().split(","):
        name, _, parameter = item.partition(";")
        coding = _CODINGS.get(name.strip())
        if coding is not None:
            likes[coding] = _quality(parameter)
    if zstd() is None:
        likes.pop(b"zstd", None)
    best = max(likes, key=lambda coding: (likes[coding], coding), default=b"")
    return best if likes.get(best, 0.0) > 0 else b""


def _quality(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(float(value), 1.0)
    except ValueError:
        return 0.0
