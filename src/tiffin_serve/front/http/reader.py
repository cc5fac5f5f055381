"""Bytes of a client become requests, or a reason why they do not.

Parsing is httptools' (llhttp, strict). Whatever two servers could read differently is refused, with an answer after
which the connection closes, so that nobody hides a request from whoever stands before us (RFC 9112, section 11.2).
"""

from __future__ import annotations

import time
from typing import Any, Protocol

import httptools

from tiffin_serve.front.http.bodies import BodyError, Inflated, TooLargeError, encodings, inflated
from tiffin_serve.front.http.desk import Desk
from tiffin_serve.front.http.exchange import Channel, Exchange
from tiffin_serve.front.http.heads import objection
from tiffin_serve.front.http.known import END, LONGEST, KnownHead
from tiffin_serve.front.http.targets import SLASH, split_target
from tiffin_serve.front.log import report

FRAMING = 16
"""How many bytes of chunk framing one byte of a body may cost; chunks of one byte cost five."""


class Taker(Channel, Protocol):
    """Who takes what was read."""

    def take(self, exchange: Exchange) -> None:
        """Take a request."""
        ...

    def refuse(self, status: int, message: str, headers: bytes = b"") -> None:
        """Answer what could not be read as a request, and read no more."""
        ...

    def proceed(self) -> None:
        """Tell the client to send its body."""
        ...


class RequestReader:
    """Reads the requests of one connection. `since` is when the head or the body began, `heard` when any byte came."""

    __slots__ = (
        "_again",
        "_body",
        "_desk",
        "_fed",
        "_headers",
        "_held",
        "_inflated",
        "_more",
        "_old",
        "_parser",
        "_piece",
        "_plain",
        "_size",
        "_taker",
        "_target",
        "_wire",
        "deaf",
        "heard",
        "in_body",
        "in_head",
        "since",
    )

    def __init__(self, desk: Desk, taker: Taker) -> None:
        self._desk = desk
        self._taker = taker
        self._parser: Any = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._piece = b""
        self._held = b""
        self._plain = False
        self._again = 0
        self._fed = 0
        self._size = 0
        self._wire = 0
        self._old = False
        self._body = b""
        self._more: list[bytes] = []
        self._inflated: Inflated | None = None
        self.in_head = False
        self.in_body = False
        self.deaf = False
        self.since = 0.0
        self.heard = desk.now

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Give what was read of the head of the request that is being read."""
        return self._headers

    @property
    def reading(self) -> bool:
        """Say whether a request has begun to come."""
        return (self.in_head or self.in_body) and not self.deaf

    def stop(self) -> None:
        """Read no more."""
        self.deaf, self.in_head, self.in_body = True, False, False

    def forget(self) -> None:
        """Let the parser go, which refers to us as we do to it: the garbage collector has less to do."""
        self.stop()
        self._parser = None

    def feed(self, data: bytes) -> None:
        """Read what came: what begins with a head that is known at a glance, anything else by the parser."""
        if self.deaf:
            return
        self.heard = self._desk.now
        if self._held:
            data, self._held, self.in_body = self._held + data, b"", False
        if not (self.in_head or self.in_body):
            end = data.find(END, 0, LONGEST) + len(END)
            known = self._desk.heads.get(data[:end])
            if known is not None and self._take_known(known, data, end):
                return
            self._wire, self._piece = 0, data
        self._parse(data)

    def _take_known(self, known: KnownHead, data: bytes, end: int) -> bool:
        """Take a request whose head is known, if it is all that came, or its body is still to come; say whether."""
        missing = known.size - len(data) + end
        if missing and len(data) != end:
            return False
        self.since = self.heard
        self._headers = known.headers
        if missing:
            self._wire, self._held, self.in_body = 0, data, True
            return True
        method, path, query, headers, _ = known
        exchange = Exchange(self._taker, method, path, headers, query, data[end:], time.monotonic())
        try:
            self._taker.take(exchange)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer and the log gets the reason
            self._fail(error)
        return True

    def _parse(self, data: bytes) -> None:
        """Give the parser what came; one that gives up costs the connection."""
        self._fed = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.deaf = True  # the upgrade is declined by a plain answer, after which the connection closes
        except httptools.HttpParserCallbackError as error:
            self._fail(error.__context__)
        except httptools.HttpParserError as error:
            self._refuse(400, _reason(data, error))
        if self.in_head or self.in_body:
            self._weigh(self._fed)

    def late(self) -> bool:
        """Say whether what is being read takes too long: its head, its next byte, or its body as a whole."""
        now, limits = self._desk.now, self._desk.limits
        patience = limits.header_seconds
        if self.in_head:
            return now - self.since > patience
        return now - self.heard > patience or self._wire < limits.least_rate * (now - self.since - patience)

    def restart_clock(self) -> None:
        """Count from now: for a while it was we who did not read."""
        self.since = self.heard = self._desk.now

    # --- the parser's calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self.deaf:
            return
        self.in_head = True
        self.since = self._desk.now
        self._target = b""
        self._headers = {}
        self._body = b""
        self._again = 0

    def on_url(self, url: bytes) -> None:
        """Take the target, which may come in pieces."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes again makes a list (RFC 9110, section 5.3); trailers are ignored."""
        if self.in_head:
            key, headers = name.lower(), self._headers
            if key not in headers:
                headers[key] = value
            else:
                self._again += 1
                if self._again <= self._desk.limits.head_fields:
                    headers[key] = b"%b, %b" % (headers[key], value)

    def on_headers_complete(self) -> None:
        """Refuse what will not be read; say 100 Continue where it will."""
        if self.deaf:
            return
        self.in_head, self.in_body = False, True
        desk, headers = self._desk, self._headers
        # Only HTTP/1.1 keeps a connection that nobody speaks of; to ask for the version costs ten times as much.
        usual = b"connection" not in headers and self._parser.should_keep_alive()
        version = "1.1" if usual else self._parser.get_http_version()
        self._old = version != "1.1"
        self._plain = (
            version == "1.1"
            and headers.get(b"host") in desk.hosts
            and len(headers.get(b"content-length", b"")) < desk.digits
            and self._wire + self._fed <= desk.limits.head_bytes
            and len(headers) + self._again <= desk.limits.head_fields
            and b"transfer-encoding" not in headers
            and b"content-encoding" not in headers
            and b"expect" not in headers
        )
        if not self._plain:
            self._look_closely(version)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; most come in one."""
        if self.deaf:
            return
        if self._inflated is None and not self._body:
            self._body = body
            if len(body) > self._desk.limits.body_bytes:
                self._refuse(413, f"the body is larger than {self._desk.limits.body_bytes} bytes")
        else:
            self._take_more(body)

    def on_message_complete(self) -> None:
        """Hand the request over."""
        if self.deaf:
            return
        if self._more and not self._end_body():
            return
        self.in_body = False
        self._wire = -1
        parser, target, query = self._parser, self._target, b""
        method = parser.get_method()
        if target[0] != SLASH or b"?" in target:
            split = split_target(target, method)
            if split is None:
                self._refuse(400, f"{method.decode()} has no such target: {target[:200].decode('latin-1')}")
                return
            target, query = split
        body, self._body = self._body, b""
        exchange = Exchange(self._taker, method, target, self._headers, query, body, time.monotonic(), self._old)
        if not parser.should_keep_alive() or (b"upgrade" in exchange.headers and parser.should_upgrade()):
            exchange.close = self.deaf = True
        elif self._plain and self._piece:
            self._desk.heads.learn(self._piece, KnownHead(method, target, query, self._headers, len(body)))
        self._piece = b""  # whatever begins within it begins behind this request
        self._taker.take(exchange)

    # --- what is rare

    def _look_closely(self, version: str) -> None:
        """Decide on a head of which not everything is as usual."""
        desk, headers = self._desk, self._headers
        limits = desk.limits
        if self._wire + self._fed > limits.head_bytes and self._head_size() > limits.head_bytes:
            self._refuse(431, f"the head of the request is larger than {limits.head_bytes} bytes")
        elif len(headers) + self._again > limits.head_fields:
            self._refuse(431, f"the head of the request has more than {limits.head_fields} fields")
        elif found := objection(headers, version, limits):
            self._refuse(found.status, found.message)
        else:
            desk.know(headers.get(b"host", b""))
            if b"content-encoding" in headers and not self._begin_inflating(headers[b"content-encoding"]):
                return
            if b"expect" in headers and not self._old:
                self._taker.proceed()

    def _refuse(self, status: int, message: str, headers: bytes = b"") -> None:
        if not self.deaf:
            self.stop()
            self._body, self._more, self._inflated = b"", [], None
            self._taker.refuse(status, message, headers)

    def _fail(self, error: BaseException | None) -> None:
        report("a request could not be read", error=repr(error))
        self._refuse(500, "internal error")

    def _refuse_body(self, error: BodyError) -> None:
        coding = self._headers[b"content-encoding"].decode("latin-1")
        self._refuse(400, f"the body is not valid {coding}: {error}")

    def _head_size(self) -> int:
        return len(self._target) + sum(map(len, self._headers)) + sum(map(len, self._headers.values()))

    def _weigh(self, fed: int) -> None:
        """Count what came of a request that is not whole yet: its head, and its body with the framing of chunks."""
        self._wire = 0 if self._wire < 0 else self._wire + fed  # below 0, some of it was the last request's
        limits = self._desk.limits
        if self.in_head:
            if self._wire > limits.head_bytes:
                self._refuse(431, f"the head of the request is larger than {limits.head_bytes} bytes")
        elif self._wire > limits.head_bytes + limits.framing_bytes + FRAMING * max(self._size, len(self._body)):
            self._refuse(400, "the body has more framing of chunks than content")

    def _begin_inflating(self, encoding: bytes) -> bool:
        encoding = encoding.strip().lower()
        if encoding in {b"", b"identity"}:
            return True
        self._inflated, self._more = inflated(encoding, self._desk.limits.body_bytes), [b""]
        if self._inflated is None:
            known = encodings()
            self._refuse(
                415,
                f"the header `Content-Encoding` may be one of identity, {known.decode()}",
                b"accept-encoding: %b\r\n" % known,
            )
        return self._inflated is not None

    def _take_more(self, body: bytes) -> None:
        """Take a piece of a body that comes in several, or compressed."""
        limit = self._desk.limits.body_bytes
        if not self._more:
            self._more, self._size = [self._body], len(self._body)
        self._size += len(body)
        try:
            self._more.append(body if self._inflated is None else self._inflated.feed(body))
        except TooLargeError:
            self._refuse(413, f"the body is larger than {limit} bytes")
        except BodyError as error:
            self._refuse_body(error)
        if self._size > limit:
            self._refuse(413, f"the body is larger than {limit} bytes")

    def _end_body(self) -> bool:
        """Put the pieces together; says whether the body is a whole one."""
        done, self._inflated = self._inflated, None
        try:
            if done is not None:
                done.end()
        except BodyError as error:
            self._refuse_body(error)
            return False
        self._body, self._more, self._size = b"".join(self._more), [], 0
        return True


def _reason(data: bytes, error: Exception) -> str:
    """Say what came instead of HTTP/1.1."""
    if data.startswith(b"\x16\x03"):
        return "this port speaks HTTP without TLS: ask http://, not https://"
    if data.startswith(b"PRI * HTTP/2"):
        return "HTTP/2 is not spoken here: ask with HTTP/1.1"
    return f"not valid HTTP: {error}"
