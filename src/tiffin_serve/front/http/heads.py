"""What a request's head must be before its body is read: decisions only."""

from __future__ import annotations

from typing import NamedTuple

from tiffin_serve.front.http.limits import Limits
from tiffin_serve.front.http.targets import is_host


class Objection(NamedTuple):
    """Why a request is refused."""

    status: int
    message: str


def objection(headers: dict[bytes, bytes], version: str, limits: Limits) -> Objection | None:
    """Say what is wrong with a head, if anything is; header fields that came twice are lists by now."""
    host, length = headers.get(b"host"), headers.get(b"content-length")
    if host is None:
        if version == "1.1":
            return Objection(400, "the header `Host` is missing")
    elif not is_host(host):
        return Objection(400, "the header `Host` is not the name of one host")
    if length is not None and int(length) > limits.body_bytes:
        return Objection(413, f"the body is larger than {limits.body_bytes} bytes")
    if version != "1.1" or b"transfer-encoding" in headers or b"expect" in headers:
        return _rare_objection(headers, version)
    return None


def _rare_objection(headers: dict[bytes, bytes], version: str) -> Objection | None:
    if version not in {"1.0", "1.1"}:
        return Objection(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    coding = headers.get(b"transfer-encoding")
    if coding is not None and version == "1.0":
        return Objection(400, "HTTP/1.0 knows no header `Transfer-Encoding`")
    if coding is not None and coding.strip().lower() != b"chunked":
        return Objection(501, "the header `Transfer-Encoding` may only be `chunked`")
    expectation = headers.get(b"expect", b"")
    if expectation and expectation.lower() != b"100-continue":
        return Objection(417, "the header `Expect` may only be `100-continue`")
    return None
