"""Request targets and host names (RFC 9112, section 3.2)."""

from __future__ import annotations

import re

SLASH = 0x2F
_HOST = rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"
_is_host = re.compile(_HOST).fullmatch
_absolute = re.compile(rb"(?i:https?)://(?!\?|/|$)" + _HOST + rb"(/[^?]*)?(?:\?(.*))?", re.DOTALL).fullmatch


def is_host(host: bytes) -> bool:
    """Say whether a value of the header `Host` is a host name or an address, with or without a port, or empty."""
    return _is_host(host) is not None


def split_target(target: bytes, method: bytes) -> tuple[bytes, bytes] | None:
    """Give path and query of a target; None where it has none of the forms that the method may have.

    A target with scheme and host, which clients send to proxies, is asked of this server whatever its host is.
    """
    if target[:1] == b"/":
        path, _, query = target.partition(b"?")
        return path, query
    if target == b"*":
        return (target, b"") if method == b"OPTIONS" else None
    found = _absolute(target)
    return (found.group(1) or b"/", found.group(2) or b"") if found else None
