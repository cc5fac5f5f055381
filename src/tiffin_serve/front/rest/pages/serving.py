"""The pages' files, the document they show, and the root, which is a page for browsers only.

Files are read when a browser first asks for them, and the document is made then: a server that nobody looks at
in a browser has neither in memory.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from tiffin_serve import __version__
from tiffin_serve.front.http.exchange import JSON, Exchange
from tiffin_serve.front.log import report
from tiffin_serve.front.rest.answers import Route, encode, get, media_type
from tiffin_serve.front.rest.served import Served
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.signature import Signature

if TYPE_CHECKING:
    from tiffin_serve.protocol.outputs import InferOutput

HTML = b"text/html"
SECURE = (
    b"content-security-policy: default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    b"object-src 'none'\r\n"
    b"x-content-type-options: nosniff\r\n"
    b"referrer-policy: no-referrer\r\n"
)
FILES = {
    "page.html": b"content-type: text/html; charset=utf-8\r\n",
    "page.css": b"content-type: text/css; charset=utf-8\r\n",
    "page.js": b"content-type: text/javascript; charset=utf-8\r\n",
    "icon.svg": b"content-type: image/svg+xml\r\n",
}
PAGE = "page.html"


class Pages:
    """The root, the two pages, their files, and the document."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._files: dict[str, bytes] = {}

    def routes(self) -> list[Route]:
        """Give the table of paths."""
        return [
            get("*", self._root),  # of which only OPTIONS can be asked: the server as a whole
            get("/", self._root),
            get("/try", self._page),
            get("/docs", self._page),
            get("/openapi.json", self._document),
            *[get(f"/pages/{name}", self._file) for name in FILES if name != PAGE],
        ]

    def _root(self, exchange: Exchange) -> None:
        if prefers_page(exchange.headers.get(b"accept", b"")):
            self._give(exchange, PAGE, b"vary: accept\r\n")
            return
        model = f"/v2/models/{self._served.name}"
        urls = {
            "predict": "/predict",
            "model": model,
            "infer": f"{model}/infer",
            "ready": "/v2/health/ready",
            "try": "/try",
            "docs": "/docs",
            "openapi": "/openapi.json",
        }
        told = {"name": self._served.name, "version": self._served.version, "status": "alive", "urls": urls}
        exchange.answer(200, encode(told), JSON + b"vary: accept\r\n")

    def _page(self, exchange: Exchange) -> None:
        self._give(exchange, PAGE)

    def _file(self, exchange: Exchange) -> None:
        self._give(exchange, exchange.path.rpartition(b"/")[2].decode("latin-1"))

    def _give(self, exchange: Exchange, name: str, headers: bytes = b"") -> None:
        if name not in self._files:
            self._files[name] = Path(__file__).with_name(name).read_bytes()
        answer_tagged(exchange, self._files[name], FILES[name] + SECURE + headers)

    def _document(self, exchange: Exchange) -> None:
        # Whoever never asks for the document need not have what writes it.
        from tiffin_serve.front.rest.openapi import Described, document  # noqa: PLC0415

        served, signature = self._served, self._served.signature()
        token = served.service.serve.auth == "bearer"
        model = Described(served.name, served.version, __version__, signature, self._example(signature), token)
        routes = [(method.decode(), path.decode()) for path, methods in served.routes.items() for method in methods]
        answer_tagged(exchange, encode(document(model, routes)), JSON)

    def _example(self, signature: Signature) -> list[InferOutput]:
        """Give the first check's request, or one row of what is usual in the training data."""
        from tiffin_serve.protocol import baseline, examples  # noqa: PLC0415 - as above

        service = self._served.service
        for check in service.checks[:1]:
            try:
                return examples.from_check(Path(check.request).read_bytes(), signature)
            except (OSError, RequestError) as error:
                report("the check's request is no example", request=check.request, error=str(error))
        known = {}
        if service.baseline:
            with suppress(OSError, ValueError):  # whoever reads it for drift has reported it
                known = examples.known_values(baseline.read(Path(service.baseline)))
        return examples.from_signature(signature, known)


def prefers_page(accept: bytes) -> bool:
    """Say whether a header Accept names HTML first, as browsers' do."""
    return media_type(accept) == HTML


def answer_tagged(exchange: Exchange, body: bytes, headers: bytes) -> None:
    """Answer with a body, or with 304 where the client has it already (RFC 9110, section 13.1.2)."""
    tag = b'"%x-%x"' % (len(body), crc32(body))
    headers += b"cache-control: no-cache\r\netag: %b\r\n" % tag
    held = exchange.headers.get(b"if-none-match", b"")
    if held.strip() == b"*" or tag in [item.strip().removeprefix(b"W/") for item in held.split(b",")]:
        exchange.answer(304, b"", headers)
    else:
        exchange.answer(200, body, headers)
