"""An API server in this process, over real HTTP(S) on loopback, that does what it is told, the wrong things included.

Faults are put in the way of one request at a time, by a part of `METHOD path?query`:
`server.faults["PATCH /apis/apps"] = [Fault(status=503), Fault(hang_up_after=True)]`.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from apiserver import refusal, served, streams, verbs
from apiserver.refusal import Refusal
from apiserver.sockets import Pods
from apiserver.store import Store
from apiserver.streams import Logs
from apiserver.verbs import Request


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    """Sent in place of the content."""
    hang_up: bool = False
    """The connection ends before anything is done."""
    silent: bool = False
    """Nothing is ever said."""
    hang_up_after: bool = False
    """What is asked for is done, and then the connection ends without an answer."""
    cut: int | None = None
    """The connection ends after so many bytes of the content."""
    drip: float = 0
    """Seconds between one byte of the content and the next."""


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    user: str

    @property
    def query(self) -> dict[str, str]:
        """What follows the question mark."""
        return dict(parse_qsl(urlsplit(self.path).query))


@dataclass
class ApiServer:
    """What the server keeps, whom it lets in, what goes wrong next, and what it was asked."""

    store: Store = field(default_factory=Store)
    logs: Logs = field(default_factory=Logs)
    tokens: dict[str, str] | None = None
    """Users by their tokens; None lets everybody in."""
    denied: set[tuple[str, str]] = field(default_factory=set)
    """Methods and plural names that nobody may use."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    aggregates: bool = True
    """Whether discovery comes at once, where that is accepted."""
    gone_as_status: bool = False
    """Whether watches from too far back are refused by a status, rather than by an event."""
    bookmark_seconds: float = 60.0
    bookmarked: int = 0
    """The last version that a bookmark told of."""
    piece: int = 0
    """Bytes in a chunk of a stream; 0 for a line."""
    pods: Pods = field(default_factory=Pods)
    """What runs in pods, and listens there."""
    tls: ssl.SSLContext | None = None
    port: int = 0
    _listening: _Listener | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        """Whether it answers."""
        return self._listening is not None

    def start(self) -> None:
        """Answer, at the same port as before."""
        self._listening = _Listener(self)
        self.port = self._listening.server_address[1]
        threading.Thread(target=self._listening.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Be gone: every connection ends."""
        if listener := self._listening:
            self._listening = None
            listener.end()
        with self.store.changed:
            self.store.changed.notify_all()

    @contextmanager
    def running(self) -> Iterator[ApiServer]:
        """Answer for a while."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def next_fault(self, asked: str) -> Fault:
        """Take what goes wrong with a request."""
        for part, faults in self.faults.items():
            if part in asked and faults:
                return faults.pop(0)
        return Fault()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, server: ApiServer) -> None:
        self.api = server
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", server.port), _Answering)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        try:
            if self.api.tls:
                request.settimeout(10)
                request = self.api.tls.wrap_socket(request, server_side=True)
                self.open.add(request)
            super().process_request_thread(request, client_address)
        except (OSError, ssl.SSLError):
            self.shutdown_request(request)
        finally:
            self.open.discard(request)

    def end(self) -> None:
        """Listen no more, and end what is open."""
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections end; anything else is a defect."""
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handle_error(request, client_address)


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_GET(self) -> None:
        """Answer one request."""
        self.api = self.server.api
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        user = self._user()
        self.api.asked.append(Asked(self.command, self.path, dict(self.headers), body, user or ""))
        self.fault = self.api.next_fault(f"{self.command} {self.path}")
        if self.fault.hang_up or self.fault.silent:
            self.close_connection = True
            self._wait_for_the_end()
            return
        if self.fault.status or self.fault.body is not None:
            self.reply(self.fault.status or 200, self.fault.body or b"")
            return
        try:
            self._answer(user, body)
        except Refusal as refused:
            self.reply(refused.status["code"], refused.status)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names that the standard library looks for

    def _answer(self, user: str | None, body: bytes) -> None:
        if user is None:
            raise refusal.unauthorized()
        parts = urlsplit(self.path)
        accept = self.headers.get("Accept", "")
        found = verbs.resource(self.api.store, parts.path, accept, aggregates=self.api.aggregates)
        if found is not None:
            self.reply(200, found)
            return
        request = self._request(parts.path, dict(parse_qsl(parts.query)), body)
        if (request.method, request.kind.plural) in self.api.denied:
            raise refusal.forbidden(request.kind, request.name, user, request.method.lower(), request.namespace)
        if request.query.get("watch") in {"true", "1"}:
            self.stream(streams.watch(self.api, request))
        elif request.part in {"exec", "portforward"}:
            self._upgrade(request, user)
        elif request.part == "log":
            self.api.store.get(request.kind, request.namespace, request.name)
            self.stream(self.api.logs.read(self.api, request))
        else:
            with self.api.store.changed:
                self.api.store.warnings.clear()
                answer = verbs.answer(self.api.store, request)
                warnings = [("Warning", f"299 - {json.dumps(words)}") for words in self.api.store.warnings]
            self.reply(201 if self.command == "POST" else 200, answer, warnings)

    def _upgrade(self, request: Request, user: str) -> None:
        """Go on by WebSocket; from 1.35 on that needs the right to create, too."""
        for method, verb in (("GET", "get"), ("POST", "create")):
            if (method, f"pods/{request.part}") in self.api.denied:
                raise refusal.forbidden(request.kind, request.name, user, verb, request.namespace)
        pod = self.api.store.get(request.kind, request.namespace, request.name)
        self.close_connection = True
        self.api.pods.serve(self, pod, request.part)

    def _request(self, path: str, query: dict[str, str], body: bytes) -> Request:
        """Read what objects are meant."""
        parts = path.strip("/").split("/")
        api_version, rest = ("v1", parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces" and rest[2] != "status":
            namespace, rest = rest[1], rest[2:]
        for kind in self.api.store.kinds:
            if rest and (kind.api_version, kind.plural) == (api_version, rest[0]):
                named = dict(zip(("name", "part"), rest[1:], strict=False))
                media_type = self.headers.get("Content-Type", "").partition(";")[0]
                agent = self.headers.get("User-Agent", "")
                return Request(
                    self.command, kind, namespace, **named, query=query, media_type=media_type, body=body, agent=agent
                )
        raise refusal.no_such_place()

    def _user(self) -> str | None:
        """Who asks: by certificate, or by token."""
        certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        for part in (certificate or {}).get("subject", ()):
            for name, value in part:  # type: ignore[misc]
                if name == "commonName":
                    return str(value)
        if self.api.tokens is None:
            return "system:anonymous"
        return self.api.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def reply(self, status: int, content: Any, headers: list[tuple[str, str]] | None = None) -> None:
        """Send an answer, as well as the fault lets it."""
        if self.fault.hang_up_after:
            self.close_connection = True
            return
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (*self.fault.headers, *(headers or ()), ("Content-Length", str(len(data)))):
            self.send_header(name, value)
        if not isinstance(content, bytes):
            together = content.get("kind") == "APIGroupDiscoveryList"
            self.send_header("Content-Type", served.TOGETHER if together else "application/json")
        self.end_headers()
        self._write(data)

    def stream(self, lines: Iterator[bytes]) -> None:
        """Send lines as they come, in chunks that begin and end anywhere."""
        next(lines)  # what is refused is so before the status is sent
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        left = self.fault.cut
        for line in lines:
            size = self.api.piece or len(line) or 1
            for begin in range(0, len(line), size):
                piece = line[begin : begin + size]
                chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
                if left is not None and (left := left - len(piece)) < 0:
                    self.wfile.write(chunk[:left])
                    self._hang_up()
                    return
                self.wfile.write(chunk)
        if self.api.runs:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self._hang_up()

    def _write(self, data: bytes) -> None:
        if self.fault.drip:
            for byte in data:
                self.wfile.write(bytes([byte]))
                time.sleep(self.fault.drip)
        self.wfile.write(b"" if self.fault.drip else data[: self.fault.cut])
        if self.fault.cut is not None:
            self._hang_up()

    def _wait_for_the_end(self) -> None:
        """Say nothing, where that is what goes wrong."""
        with self.api.store.changed:
            self.api.store.changed.wait_for(lambda: not (self.fault.silent and self.api.runs))

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""
