"""The supervisor's HTTP API on a Unix socket: JSON in, JSON out, one request a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tiffin.deploy.local.services import Services
from tiffin.deploy.local.state import State
from tiffin.deploy.service import Service
from tiffin.errors import NotFoundError, TiffinError
from tiffin.oci.documents import decode, encode

LONGEST = 4 << 20
WAIT_SECONDS = 20.0
"""How long somebody who waits for events is kept waiting at a time."""
_POLL = 0.2

Run = Callable[[Callable[[], object]], Awaitable[object]]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request: what is to be done to what, with which words and which body."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    body: bytes


class Scaled(msgspec.Struct, frozen=True, kw_only=True):
    """Between how many replicas a service is to be kept."""

    least: int
    most: int


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """Which revision to go back to."""

    number: int | None = None


class Api:
    """Answers; `run` calls what blocks, one call at a time."""

    def __init__(self, services: Services, state: State, run: Run) -> None:
        self._services, self._state, self._run = services, state, run

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            asked = await read(reader)
            status, body = 200, encode(await self._answer(asked))
        except TiffinError as error:
            told = {"code": error.code, "message": error.message, "hint": error.hint or ""}
            status, body = 404 if isinstance(error, NotFoundError) else 409, encode({"error": told})
        except (ValueError, KeyError, EOFError, OSError) as error:
            status, body = 400, encode({"error": {"code": "config", "message": str(error), "hint": ""}})
        lines = [f"HTTP/1.1 {status} -", "content-type: application/json", f"content-length: {len(body)}"]
        head = "\r\n".join([*lines, "connection: close", "", ""])
        with contextlib.suppress(OSError):
            writer.write(head.encode() + body)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _answer(self, asked: Asked) -> object:
        if (asked.method, asked.path) == ("GET", ("events",)):
            return await self._events(asked.query)
        return await self._run(lambda: self._do(asked))

    def _do(self, asked: Asked) -> object:
        services = self._services
        match asked.method, *asked.path:
            case "GET", "services":
                return services.all()
            case "GET", "services", name:
                return services.status(name)
            case "DELETE", "services", name:
                services.delete(name)
                return {}
            case "POST", ("plan" | "apply") as verb:
                service = decode(Service, asked.body, "the service")
                return services.plan(service) if verb == "plan" else services.apply(service)
            case "POST", "services", name, verb:
                return self._change(name, verb, asked.body)
        raise NotFoundError(
            f"nothing answers to {asked.method} /{'/'.join(asked.path)}", "use a tiffin of this version"
        )

    def _change(self, name: str, verb: str, body: bytes) -> object:
        services = self._services
        if verb == "scale":
            scaled = decode(Scaled, body, "the request")
            return services.scale(name, scaled.least, scaled.most)
        if verb == "rollback":
            return services.rollback(name, decode(Earlier, body, "the request").number)
        if verb in {"pause", "resume"}:
            return services.pause(name, on=verb == "pause")
        if verb == "restart":
            return services.restart(name)
        raise NotFoundError(f"nothing is called {verb}", "use a tiffin of this version")

    async def _events(self, query: dict[str, str]) -> object:
        after, last, wait = int(query.get("after", "0")), int(query.get("last", "1000")), float(query.get("wait", "0"))
        due = asyncio.get_running_loop().time() + min(wait, WAIT_SECONDS)
        while True:
            events = await self._run(lambda: self._state.events(query.get("service", ""), after, last))
            if events or asyncio.get_running_loop().time() >= due:
                return events
            await asyncio.sleep(_POLL)


async def read(reader: asyncio.StreamReader) -> Asked:
    """Read a request; raises ValueError, EOFError."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    size = int(headers.get("content-length", "0"))
    if not 0 <= size <= LONGEST:
        raise ValueError(f"a request has at most {LONGEST} bytes")
    url = urlsplit(target)
    path = tuple(part for part in url.path.split("/") if part)
    return Asked(
        method=method, path=path, query=dict(parse_qsl(url.query)), body=await reader.readexactly(size) if size else b""
    )
