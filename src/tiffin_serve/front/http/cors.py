"""Pages of which other origins may ask (the Fetch standard, section 3.2).

Credentials are allowed to origins that are named, never to `*`, which stands for every page there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tiffin_serve.front.http.exchange import Exchange

ANY = "*"
ASKED = b"access-control-request-method"
METHODS = b"GET, HEAD, POST, OPTIONS"
HEADERS = (
    b"authorization, content-type, content-encoding, inference-header-content-length, "
    b"traceparent, tracestate, x-request-id"
)
PREFLIGHT = (
    b"access-control-allow-methods: %b\r\naccess-control-allow-headers: %b\r\naccess-control-max-age: 600\r\n"
    % (METHODS, HEADERS)
)
SHOWN = b"access-control-expose-headers: inference-header-content-length, retry-after, x-request-id\r\n"
_is_origin = re.compile(
    r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._~-]+(:\d+)?|[a-z][a-z0-9+.-]*://\[[0-9a-f:]+\](:\d+)?|null"
).fullmatch


class Cors:
    """Says in answers whose pages may read them, and answers when a browser asks before it asks."""

    def __init__(self, serve: Callable[[Exchange], None], origins: Sequence[str]) -> None:
        """Allow these origins; raises ValueError for what is none."""
        for origin in origins:
            if origin != ANY and not _is_origin(origin):
                raise ValueError(f"[serve] cors: '{origin}' is no origin; write https://host[:port], or * for all")
        self._serve = serve
        self._any = ANY in origins
        self._origins = {origin.encode() for origin in origins}

    def dress(self, exchange: Exchange) -> None:
        """Add what the answer says of origins; it says that it depends on the origin where it does."""
        if self._any:
            exchange.extra += b"access-control-allow-origin: *\r\n" + SHOWN
            return
        exchange.extra += b"vary: origin\r\n"
        origin = exchange.headers.get(b"origin")
        if origin in self._origins:
            allowed = b"access-control-allow-origin: %b\r\naccess-control-allow-credentials: true\r\n" % origin
            exchange.extra += allowed + SHOWN

    def serve(self, exchange: Exchange) -> None:
        """Answer a browser's question, or let the request be answered."""
        self.dress(exchange)
        if exchange.method == b"OPTIONS" and ASKED in exchange.headers:
            exchange.answer(200, b"", PREFLIGHT)
        else:
            self._serve(exchange)
