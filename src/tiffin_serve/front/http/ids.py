"""Names of requests for logs, and the trace a request belongs to."""

from __future__ import annotations

import os
import re
from itertools import count

_OURS = os.urandom(6).hex().encode()
_numbers = count(1)
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
).fullmatch


def make_id() -> bytes:
    """Make a name that no other request has: this process', and a number."""
    return b"%b-%x" % (_OURS, next(_numbers))


def trace_id(traceparent: bytes) -> str:
    """Give the trace that a header `traceparent` names (W3C Trace Context, level 1), or nothing."""
    found = _TRACEPARENT(traceparent)
    return found.group(1).decode() if found else ""
