"""Tiny wheels and a package index on loopback that serves them: what tests of resolving and fetching stand on.

The index speaks the simple repository API (PEP 503's HTML pages, which every client reads). Faults are put in its way
one request at a time: `index.faults["demo-1.0-py3-none-any.whl"] = [Fault(status=503, retry_after="0")]`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class File:
    """A distribution file: its name and bytes, and which Python it says it needs."""

    name: str
    data: bytes
    requires_python: str = ""

    @property
    def project(self) -> str:
        return self.name.split("-")[0].lower().replace("_", "-")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def into(self, folder: Path) -> Path:
        """Write the file into a folder."""
        path = folder / self.name
        path.write_bytes(self.data)
        return path


def wheel(
    name: str,
    version: str = "1.0",
    *,
    tag: str = "py3-none-any",
    needs: tuple[str, ...] = (),
    requires_python: str = "",
    padding: int = 0,
) -> File:
    """Make a wheel with one module; `needs` are its requirements and `padding` adds incompressible bytes."""
    underscored = name.replace("-", "_")
    info = f"{underscored}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Python: {requires_python}"] if requires_python else []
    metadata += [f"Requires-Dist: {need}" for need in needs]
    members = {
        f"{underscored}/__init__.py": f'__version__ = "{version}"\n'.encode(),
        f"{info}/METADATA": ("\n".join(metadata) + "\n").encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    if padding:
        members[f"{underscored}/padding.bin"] = hashlib.shake_256(name.encode()).digest(padding)
    record = "".join(f"{path},,\n" for path in [*members, f"{info}/RECORD"])
    members[f"{info}/RECORD"] = record.encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    return File(f"{underscored}-{version}-{tag}.whl", packed.getvalue(), requires_python)


def sdist(name: str, version: str = "1.0") -> File:
    """Make what looks like a source distribution; nothing may ever build it."""
    return File(f"{name.replace('-', '_')}-{version}.tar.gz", b"not even an archive")


@dataclass
class Fault:
    """What goes wrong with one request: a status instead of the file, or only the first `truncate` bytes of it."""

    status: int = 0
    retry_after: str = ""
    truncate: int | None = None
    location: str = ""


@dataclass
class Index:
    """The served index: what it has, what goes wrong next, and what it was asked."""

    url: str
    files: dict[str, File] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, *files: File) -> None:
        """Serve these files from now on."""
        self.files |= {file.name: file for file in files}

    def replace(self, name: str, data: bytes) -> None:
        """Serve other bytes under a name while the pages still announce the old hash."""
        self.changed[name] = data

    changed: dict[str, bytes] = field(default_factory=dict)
    prefix: str = "files"
    login: str = ""
    """`user:password` that every request must carry."""
    logins: list[str] = field(default_factory=list)
    """What each request carried, in order."""
    heads: bool = True
    """Whether HEAD is answered."""

    def downloads(self, name: str) -> int:
        """How many times a file was asked for."""
        return sum(line.startswith("GET ") and line.endswith("/" + name) for line in self.asked)


def _page(index: Index, project: str) -> str:
    links = []
    for file in sorted(index.files.values(), key=lambda file: file.name):
        if file.project == project:
            needs = f' data-requires-python="{html.escape(file.requires_python)}"' if file.requires_python else ""
            links.append(f'<a href="/{index.prefix}/{file.name}#sha256={file.sha256}"{needs}>{file.name}</a><br>')
    return "<!DOCTYPE html><html><body>\n" + "\n".join(links) + "\n</body></html>\n"


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: Index

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parameter's name is http.server's
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.index.asked.append(f"{self.command} {self.path}")
        path = urlsplit(self.path).path  # a proxy is asked for whole addresses
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        self.index.logins.append(base64.b64decode(given).decode())
        if self.index.login and base64.b64decode(given).decode() != self.index.login:
            self._send(401, b"who are you?\n", {"WWW-Authenticate": "Basic"})
            return
        if self.command == "HEAD" and not self.index.heads:
            self._send(405, b"")
            return
        kind, _, name = unquote(path).strip("/").partition("/")
        if kind == "simple" and name:
            page = _page(self.index, name).encode()
            known = any(file.project == name for file in self.index.files.values())
            self._send(200 if known else 404, page, {"Content-Type": "text/html", "Cache-Control": "no-cache"})
        elif kind == self.index.prefix and name in self.index.files:
            self._send_file(name)
        else:
            self._send(404, b"no such page\n")

    def _send_file(self, name: str) -> None:
        waiting = self.index.faults.get(name) if self.command == "GET" else None
        fault = waiting.pop(0) if waiting else Fault()
        data = self.index.changed.get(name, self.index.files[name].data)
        if fault.status:
            headers = {"Retry-After": fault.retry_after, "Location": fault.location}
            self._send(fault.status, b"fault\n", {key: value for key, value in headers.items() if value})
        elif fault.truncate is not None:
            self._send(200, data[: fault.truncate], {"Content-Length": str(len(data)), "Connection": "close"})
            self.close_connection = True
        else:
            self._send(200, data)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up: some tests make them."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def served(*files: File) -> Iterator[Index]:
    """Serve an index of these files on a loopback port until the block ends."""
    answers = type("Answers", (_Answers,), {})
    with _Server(("127.0.0.1", 0), answers) as server:
        index = Index(f"http://127.0.0.1:{server.server_port}/simple")
        answers.index = index  # type: ignore[attr-defined]
        index.add(*files)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield index
        finally:
            server.shutdown()
            thread.join()
