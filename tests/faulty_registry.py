"""A registry in this process that does what it is told, the wrong things included (distribution-spec 1.1).

Faults are put in the way of one request at a time, by a part of its path, or of path and range:
`registry.faults["blobs/sha256:ab"] = [Fault(status=503), Fault(cut=100)]`, `registry.faults["ab bytes=100-"] = …`.
"""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from faulty_uploads import Uploading
from tiffin.oci.digest import Digest
from tiffin.oci.documents import INDEX, Descriptor
from tiffin.oci.image import Image
from tiffin.oci.store import Store

MEETING_SECONDS = 60


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    """Sent beside, or in place of, what is right."""
    body: bytes | None = None
    """Sent in place of the content."""
    cut: int | None = None
    """The connection ends after so many bytes of the content, which is announced whole."""
    hang_up: bool = False
    """The connection ends before the answer begins."""
    ignore_range: bool = False
    shift: int = 0
    """A range is answered by one that begins so many bytes later, and says so."""
    take: int | None = None
    """The connection ends after so many bytes of what is sent, which are kept."""
    keep: int | None = None
    """So many bytes of what is sent are kept; it is all read."""
    forget: bool = False
    """The upload is forgotten first."""
    drip: float = 0
    """Seconds between one byte of the content and the next."""
    drip_head: float = 0
    """Seconds between one byte of the answer, from its first on, and the next."""
    think: float = 0
    """Seconds between the end of what is asked and the answer."""
    meets: threading.Barrier | None = None
    """The answer waits for others that are asked for at the same time."""


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    authorization: str
    range: str
    host: str
    length: int = 0
    """Bytes of content announced."""
    content_range: str = ""
    client: int = 0
    """The port of whoever asks: one for each connection."""


@dataclass
class FaultyRegistry:
    """What the registry has, whom it lets in, what goes wrong next, and what it was asked."""

    host: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """By tag and by digest: media type and bytes."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    scheme: str = ""
    """How it wants to be told who asks: `basic`, `bearer`, or not at all."""
    login: str = "me:s3cret"
    identity: str = ""
    """The identity token that buys others."""
    realm: str = ""
    """Where tokens are bought; here, where nothing is said."""
    token_uses: int = 1 << 30
    """How many requests a token is good for."""
    expires_in: int = 300
    storage: str = ""
    """The registry that blobs are fetched from, by redirects."""
    tokens: dict[str, int] = field(default_factory=dict)
    bought: list[str] = field(default_factory=list)
    """The scopes of each token."""
    elsewhere: dict[str, set[str]] = field(default_factory=dict)
    """Other repositories and the digests of the blobs they have, for mounts; their bytes are in `stored`."""
    stored: dict[str, bytes] = field(default_factory=dict)
    mounts: bool = True
    least: int = 0
    """The fewest bytes that it says a chunk may have."""
    page: int = 1000
    """The most tags it lists at a time."""
    uploads: dict[str, bytearray] = field(default_factory=dict)
    received: int = 0
    """Bytes of blobs that were sent here."""
    lists_referrers: bool = False
    """Whether it has a list of referrers, as registries of distribution-spec 1.1 have."""
    notes_subjects: bool = True
    """Whether it says, where it has such a list, that it has noted the subject of a manifest it was given."""
    hidden: set[str] = field(default_factory=set)
    """Digests of manifests that it leaves out of its list."""
    before_manifest: list[Callable[[str], None]] = field(default_factory=list)
    """What happens just before a manifest is kept under a name, such as somebody else's writing."""
    pace: int = 0
    """The most bytes that are taken in a second; 0 for as many as come."""
    ranges: bool = True
    """Whether it gives less than all of a blob."""
    longest_range: int = 1 << 40
    """The most bytes that it gives of a range, whatever is asked for."""
    answering: int = 0
    most_at_once: int = 0
    """How many contents it was sending at a time, now and at most."""
    redirected: int = 0
    """How often it sent somebody to its storage, each time to another address."""
    lock: Any = field(default_factory=threading.Lock)

    def hold(self, image: Image, store: Store, *tags: str) -> Descriptor:
        """Have an image whose layers are in a store."""
        for layer in image.manifest.layers:
            with store.open(layer) as stream:
                self.add(stream.read())
        self.add(image.config_bytes)
        return self.add_manifest(image.manifest_bytes, image.descriptor.media_type, *tags)

    def add(self, data: bytes) -> None:
        """Have a blob."""
        self.blobs[Digest.of(data)] = data

    def add_manifest(self, data: bytes, media_type: str, *tags: str) -> Descriptor:
        """Have a manifest or index."""
        descriptor = Descriptor.of(data, media_type)
        for name in (descriptor.digest, *tags):
            self.manifests[name] = (media_type, data)
        return descriptor

    def referrers(self, subject: str) -> list[dict[str, Any]]:
        """List the manifests that have this subject, those that came last first."""
        found: dict[str, dict[str, Any]] = {}
        for digest, (media_type, data) in self.manifests.items():
            said = json.loads(data)
            if digest.startswith("sha256:") and said.get("subject", {}).get("digest") == subject:
                shown = {key: said[key] for key in ("artifactType", "annotations") if said.get(key)}
                found[digest] = {"mediaType": media_type, "digest": digest, "size": len(data), **shown}
        return [entry for digest, entry in reversed(found.items()) if digest not in self.hidden]

    def next_fault(self, path: str) -> Fault:
        """Take what goes wrong with a request for this path."""
        for part, faults in self.faults.items():
            if part in path and faults:
                return faults.pop(0)
        return Fault()


class _Answers(Uploading, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: FaultyRegistry

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parameter's name is http.server's
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names are http.server's

    def _answer(self) -> None:
        known = self.headers.get("Authorization", "")
        asked = Asked(
            self.command,
            self.path,
            known,
            self.headers.get("Range", ""),
            self.headers.get("Host", ""),
            int(self.headers.get("Content-Length", "0")),
            self.headers.get("Content-Range", ""),
            self.client_address[1],
        )
        with self.registry.lock:
            self.registry.asked.append(asked)
            place = f"{self.path} {asked.range}"
            waiting = next((faults for part, faults in self.registry.faults.items() if part in place and faults), None)
            fault = waiting.pop(0) if waiting else Fault()
        if fault.meets:
            fault.meets.wait(MEETING_SECONDS)
        if fault.hang_up:
            self.close_connection = True
        elif fault.status:
            self.drain()
            self.send(fault.status, fault.body if fault.body is not None else b"{}", fault)
        elif urlsplit(self.path).path == "/token":
            self._token(fault)
        elif not self._let_in(known):
            self.drain()
            self.send(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}', self._challenge())
        else:
            self._content(fault)

    def _let_in(self, known: str) -> bool:
        registry = self.registry
        if registry.scheme == "basic":
            return known == "Basic " + base64.b64encode(registry.login.encode()).decode()
        if registry.scheme == "bearer":
            token = known.removeprefix("Bearer ")
            with registry.lock:
                left = registry.tokens.get(token, 0)
                registry.tokens[token] = left - 1
            return left > 0
        return True

    def _challenge(self) -> Fault:
        if self.registry.scheme == "basic":
            return Fault(headers=(("WWW-Authenticate", 'Basic realm="a \\"registry\\""'),))
        realm = self.registry.realm or f"http://{self.registry.host}/token"
        return Fault(headers=(("WWW-Authenticate", f'Bearer realm="{realm}",service="a, registry"'),))

    def _token(self, fault: Fault) -> None:
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())
        query = form or parse_qs(urlsplit(self.path).query)
        known = self.headers.get("Authorization", "")
        right = "Basic " + base64.b64encode(self.registry.login.encode()).decode()
        bought = form.get("refresh_token") == [self.registry.identity] if form else known in {right, ""}
        if not bought:
            self.send(401, b"{}", fault)
            return
        with self.registry.lock:
            token = f"token-{len(self.registry.bought)}"
            self.registry.bought.append(" ".join(query.get("scope", [])))
            anonymous = not form and not known
            self.registry.tokens[token] = 0 if anonymous and self.registry.login else self.registry.token_uses
        answer = {"token": token, "expires_in": self.registry.expires_in}
        self.send(200, json.dumps(answer).encode(), fault)

    def _content(self, fault: Fault) -> None:
        if self.is_upload():
            self.upload(fault)
            return
        if self.command == "PUT":
            self.keep_manifest(fault)
            return
        if urlsplit(self.path).path.endswith("/tags/list") or (
            self.registry.lists_referrers and "/referrers/" in self.path
        ):
            self._tags(fault) if "/tags/" in self.path else self._referrers(fault)
            return
        found = re.fullmatch(
            r"/v2/(?:(?P<name>.+)/(?P<kind>blobs|manifests)/(?P<what>[^/]+))?", urlsplit(self.path).path
        )
        if not found or not found["kind"]:
            self.send(200 if found else 404, b"{}", fault)
            return
        if found["kind"] == "blobs" and self.registry.storage:
            with self.registry.lock:
                self.registry.redirected += 1
            signed = f"http://{self.registry.storage}{self.path}?signed={self.registry.redirected}"
            self.send(307, b"see there", Fault(headers=(("Location", signed),)))
            return
        held = self.registry.manifests if found["kind"] == "manifests" else {
            digest: ("application/octet-stream", data) for digest, data in self.registry.blobs.items()
        }  # fmt: skip
        if found["what"] not in held:
            body = b'{"errors":[{"code":"%s_UNKNOWN","message":"not here"}]}' % found["kind"][:-1].upper().encode()
            self.send(404, body, fault)
            return
        media_type, data = held[found["what"]]
        digest = (("Docker-Content-Digest", str(Digest.of(data))),) if found["kind"] == "manifests" else ()
        with self._counted():
            self._send_content(data, fault, (("Content-Type", media_type), *digest))

    @contextmanager
    def _counted(self) -> Iterator[None]:
        registry = self.registry
        with registry.lock:
            registry.answering += 1
            registry.most_at_once = max(registry.most_at_once, registry.answering)
        try:
            yield
        finally:
            with registry.lock:
                registry.answering -= 1

    def _tags(self, fault: Fault) -> None:
        query = parse_qs(urlsplit(self.path).query)
        tags = sorted(name for name in self.registry.manifests if not name.startswith("sha256:"))
        left = [tag for tag in tags if tag > query.get("last", [""])[0]]
        most = min(self.registry.page, int(query["n"][0]))
        link = f'<{urlsplit(self.path).path}?n={most}&last={left[most - 1]}>; rel="next"' if len(left) > most else ""
        self.send(200, json.dumps({"name": "any", "tags": left[:most] or None}).encode(), fault, (("Link", link),))

    def _referrers(self, fault: Fault) -> None:
        """List referrers, a page at a time."""
        parts = urlsplit(self.path)
        begin = int(parse_qs(parts.query).get("from", ["0"])[0])
        entries = self.registry.referrers(parts.path.rpartition("/")[2])
        end = begin + self.registry.page
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries[begin:end]}
        link = f'<{parts.path}?from={end}>; rel="next"' if len(entries) > end else ""
        body = json.dumps(index).encode() if fault.body is None else fault.body
        self.send(200, body, fault, (("Content-Type", INDEX), ("Link", link)))

    def _send_content(self, data: bytes, fault: Fault, headers: tuple[tuple[str, str], ...]) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        data = data if fault.body is None else fault.body
        if not wanted or fault.ignore_range or not self.registry.ranges:
            self.send(200, data, fault, headers)
        elif int(wanted[1]) >= len(data):
            self.send(416, b"", fault)
        else:
            begin = int(wanted[1]) + fault.shift
            end = min(int(wanted[2] or len(data)) + 1, len(data), begin + self.registry.longest_range)
            where = ("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
            self.send(206, data[begin:end], fault, (*headers, where))

    def send(self, status: int, body: bytes, fault: Fault, headers: tuple[tuple[str, str], ...] = ()) -> None:
        time.sleep(fault.think)
        if fault.drip_head:
            self.wfile = _Dripping(self.wfile, fault.drip_head)
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | dict(headers) | dict(fault.headers)).items():
            if value:
                self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.drip:
            self.wfile = _Dripping(self.wfile, fault.drip)
        if fault.cut is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[: fault.cut])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.close_connection = True


class _Dripping(io.BufferedIOBase):
    """Writes a byte at a time, until whoever reads has had enough."""

    def __init__(self, out: Any, seconds: float) -> None:
        self._out, self._seconds = out, seconds

    def write(self, data: Any) -> int:
        for byte in bytes(data):
            self._out.write(bytes([byte]))
            self._out.flush()
            time.sleep(self._seconds)
        return len(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up or distrust us: some tests make them."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@contextmanager
def faulty_registry(tls: ssl.SSLContext | None = None) -> Iterator[FaultyRegistry]:
    """Run a registry on a loopback port until the block ends."""
    answers = type("Answers", (_Answers,), {})
    with _Server(("127.0.0.1", 0), answers) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        registry = FaultyRegistry(f"127.0.0.1:{server.server_port}")
        answers.registry = registry  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
