"""A request while it is made: what mutations take hold of, and how it is written."""

from __future__ import annotations

from typing import Any

import msgspec

HOST = (b"Host", b"127.0.0.1")


class Draft:
    """A request; its body is a tree to be written as JSON with a tail of raw tensors, or bytes."""

    def __init__(self, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], *, tree: Any = None) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.tree = tree
        self.body = b""
        self.tail = b""
        self.mixed = False
        """Whether a header says how much of the body is JSON."""

    def freeze(self) -> None:
        """Write the tree, so that what comes then takes hold of its bytes."""
        if self.tree is not None:
            written, self.tree = msgspec.json.encode(self.tree), None
            self.body = written + self.tail
            if self.mixed:
                self.headers.append((b"Inference-Header-Content-Length", b"%d" % len(written)))

    def write(self, name: bytes) -> bytes:
        """Write the request with its true length and a name that its answer has to bear."""
        self.freeze()
        fields = [HOST, (b"X-Request-Id", name), *self.headers]
        if self.method != b"GET" or self.body:
            fields.append((b"Content-Length", b"%d" % len(self.body)))
        lines = b"".join([b"%b: %b\r\n" % field for field in fields])
        return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (self.method, self.target, lines, self.body)
