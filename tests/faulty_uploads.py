"""The half of the faulty registry that is written to (distribution-spec 1.1, "Pushing blobs")."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tiffin.oci.digest import Digest

if TYPE_CHECKING:
    from faulty_registry import Fault, FaultyRegistry

PIECE = 1 << 16


class Uploading(BaseHTTPRequestHandler):
    """Takes blobs and manifests; one that is cut off keeps what came, and its next address is another."""

    registry: FaultyRegistry

    def send(self, status: int, body: bytes, fault: Fault, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Answer."""
        raise NotImplementedError

    def drain(self) -> None:
        """Read what is sent with a request that is refused, so that the next one is understood."""
        with contextlib.suppress(OSError):
            self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def is_upload(self) -> bool:
        """Say whether the request is for an upload."""
        return "/blobs/uploads/" in self.path

    def keep_manifest(self, fault: Fault) -> None:
        """Take a manifest whose bytes are those of its digest."""
        name = urlsplit(self.path).path.rpartition("/")[2]
        data = self.rfile.read(int(self.headers["Content-Length"]))
        digest = Digest.of(data)
        if name.startswith("sha256:") and name != digest:
            self.send(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}', fault)
            return
        if self.registry.before_manifest:
            self.registry.before_manifest.pop(0)(name)
        with self.registry.lock:
            for known in {name, str(digest)}:
                self.registry.manifests[known] = (self.headers["Content-Type"], data)
        subject = json.loads(data).get("subject", {}).get("digest", "")
        noted = subject if self.registry.lists_referrers and self.registry.notes_subjects else ""
        self.send(201, b"", fault, (("Docker-Content-Digest", digest), ("OCI-Subject", noted)))

    def upload(self, fault: Fault) -> None:
        """Begin, continue, show or end an upload."""
        query = parse_qs(urlsplit(self.path).query)
        if self.command == "POST":
            self._begin(query, fault)
            return
        found = re.search(r"/uploads/([^/?]+)$", urlsplit(self.path).path)
        token = found[1] if found else ""
        if fault.forget:
            self.registry.uploads.pop(token, None)
        data = self.registry.uploads.get(token)
        if data is None:
            self.drain()
            self.send(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"not here"}]}', fault)
        elif query.get("state") != ["of it"]:
            self.drain()
            self.send(400, b'{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"no state"}]}', fault)
        elif self.command == "GET":
            self._accept(204, token, data, fault)
        elif self.command == "DELETE":
            del self.registry.uploads[token]
            self.send(204, b"", fault)
        else:
            self._take(query, token, data, fault)

    def _begin(self, query: dict[str, list[str]], fault: Fault) -> None:
        digest, source = query.get("mount", [""])[0], query.get("from", [""])[0]
        if self.registry.mounts and digest in self.registry.elsewhere.get(source, ()):
            self.registry.blobs[digest] = self.registry.stored[digest]
            self.send(201, b"", fault)
            return
        token = secrets.token_hex(4)
        self.registry.uploads[token] = bytearray()
        self._accept(202, token, self.registry.uploads[token], fault)

    def _take(self, query: dict[str, list[str]], token: str, data: bytearray, fault: Fault) -> None:
        announced = int(self.headers.get("Content-Length", "0"))
        where = self.headers.get("Content-Range", "")
        if where and where != f"{len(data)}-{len(data) + announced - 1}":
            self.drain()
            self.send(416, b"{}", fault)
            return
        self._receive(min(announced, announced if fault.take is None else fault.take), data, fault.keep)
        if fault.take is not None:
            self.close_connection = True
        elif self.command == "PATCH":
            self._accept(202, token, data, fault)
        else:
            self._end(query["digest"][0], token, bytes(data), fault)

    def _receive(self, count: int, data: bytearray, keep: int | None) -> None:
        """Take what comes as it comes, and keep so much of it: what is there when a client dies stays."""
        left = count if keep is None else keep
        while count and (piece := self.rfile.read1(min(PIECE, count))):  # type: ignore[attr-defined]  # a BufferedReader
            data += piece[:left]
            count, left = count - len(piece), max(0, left - len(piece))
            with self.registry.lock:
                self.registry.received += len(piece)
            if self.registry.pace:
                time.sleep(len(piece) / self.registry.pace)

    def _end(self, digest: str, token: str, data: bytes, fault: Fault) -> None:
        del self.registry.uploads[token]
        if Digest.of(data) != digest:
            self.send(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"other bytes"}]}', fault)
            return
        self.registry.blobs[digest] = data
        self.send(201, b"", fault, (("Docker-Content-Digest", digest),))

    def _accept(self, status: int, token: str, data: bytearray, fault: Fault) -> None:
        path = urlsplit(self.path).path.partition("/uploads/")[0]
        headers = (
            ("Location", f"{path}/uploads/{token}?state=of%20it"),
            ("Range", f"0-{max(0, len(data) - 1)}"),
            ("OCI-Chunk-Min-Length", str(self.registry.least or "")),
        )
        self.send(status, b"", fault, headers)
