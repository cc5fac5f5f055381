"""What the supervisor asks a relay on its own socket: how it is, and to read its table again. HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from tiffin_serve.relay.relay import Relay
from tiffin_serve.relay.table import TableError, read

JSON, TEXT = "application/json", "text/plain; version=0.0.4; charset=utf-8"
_FAMILIES = (
    ("tiffin_relay_connections_total", "counter", "Connections that were led to a replica.", "requests"),
    ("tiffin_relay_connection_errors_total", "counter", "Connections lost while an answer was owed.", "errors"),
    ("tiffin_relay_connections", "gauge", "Connections that there are.", "in_flight"),
    ("tiffin_relay_answer_seconds_p99", "gauge", "Time until an answer began, of the newest 1,000.", "p99"),
)


class Admin:
    """Answers for a relay; `path` is where its table lies."""

    def __init__(self, relay: Relay, path: Path) -> None:
        self._relay, self._path = relay, path

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, kind, body = self._answer(*head.split(" ", 2)[:2])
            lines = [f"HTTP/1.1 {status} -", f"content-type: {kind}", f"content-length: {len(body)}"]
            writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + body)
            await writer.drain()
        writer.close()

    def _answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        match method, path.partition("?")[0]:
            case "GET", "/table":
                return _json(200, self._relay.tell())
            case "POST", "/table":
                try:
                    self._relay.apply(read(self._path))
                except TableError as error:
                    return _json(400, {"error": str(error)})
                return _json(200, self._relay.tell())
            case "GET", "/metrics":
                return 200, TEXT, exposition(self._relay.tell()).encode()
        return _json(404, {"error": f"nothing answers to {method} {path}"})


def exposition(told: dict[str, Any]) -> str:
    """Write what a relay tells as Prometheus reads it."""
    lines = []
    for name, kind, text, key in _FAMILIES:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [f'{name}{{revision="{number}"}} {one[key]}' for number, one in told["revisions"].items()]
    parked = "tiffin_parked_requests"
    lines += [f"# HELP {parked} Connections that wait for a replica.", f"# TYPE {parked} gauge"]
    return "\n".join([*lines, f"{parked} {told['waiting']}", ""])


def _json(status: int, body: object) -> tuple[int, str, bytes]:
    return status, JSON, json.dumps(body).encode()
