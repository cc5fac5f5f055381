"""The access log: what was asked and answered, as one line of JSON each, formatted and written off the hot path."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.front.log import Writer

FLUSH_SECONDS = 0.1
WAITING = 10_000
MOST = 1024
_encode = msgspec.json.Encoder().encode
_TRACEPARENT = rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
_traceparent = re.compile(_TRACEPARENT).fullmatch


class Entry(NamedTuple):
    """What is remembered of one answer; `ended` is in seconds since the epoch, `size` counts the answer's body."""

    method: bytes
    path: bytes
    status: int
    size: int
    ended: float
    seconds: float
    id: bytes
    trace: bytes
    client: str


class AccessLog:
    """Gathers answers for a tenth of a second; a thread writes them. What cannot be written is dropped and counted."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: Writer, model: str, revision: str = "") -> None:
        self._loop = loop
        self._writer = writer
        self._who = {"model": model, "revision": revision} if revision else {"model": model}
        self._entries: list[Entry] = []

    def note(self, exchange: Exchange, client: str, status: int, size: int) -> None:
        """Remember an answer."""
        seconds = time.monotonic() - exchange.began
        trace = exchange.headers.get(b"traceparent", b"")[:MOST]
        method, path = exchange.method, exchange.path[:MOST]
        entries = self._entries
        entries.append(Entry(method, path, status, size, time.time(), seconds, exchange.id, trace, client))
        if len(entries) == 1:
            self._loop.call_later(FLUSH_SECONDS, self.flush)
        elif len(entries) >= WAITING:
            self.flush()

    def flush(self) -> None:
        """Hand over what is there."""
        entries, self._entries = self._entries, []
        if entries:
            self._writer.put_later(lambda: b"".join([line(entry, self._who) for entry in entries]), len(entries))


def line(entry: Entry, who: Mapping[str, str]) -> bytes:
    """Write the line of one answer; `who` says whose it was."""
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(entry.ended))
    fields = {
        "time": f"{when}.{int(entry.ended % 1 * 1000):03d}Z",
        "level": "info",
        "message": "request",
        "method": entry.method.decode("latin-1"),
        "path": entry.path.decode("latin-1"),
        "status": entry.status,
        "bytes": entry.size,
        "seconds": round(entry.seconds, 6),
        "request_id": entry.id.decode("latin-1"),
        "client": entry.client,
        **who,
    }
    if trace := trace_id(entry.trace):
        fields["trace_id"] = trace
    return _encode(fields) + b"\n"


def trace_id(traceparent: bytes) -> str:
    """Give the trace that a header `traceparent` names (W3C Trace Context, level 1), or nothing."""
    found = _traceparent(traceparent)
    return found.group(1).decode() if found else ""
