"""The supervisor's HTTP API on a Unix socket: JSON in, JSON out, one request a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tiffin.deploy.local.exporter import write
from tiffin.deploy.local.services import Services
from tiffin.deploy.local.state import State
from tiffin.deploy.local.watching import Reply, Watching, is_watched
from tiffin.deploy.service import Service
from tiffin.errors import NotFoundError, TiffinError, UnavailableError
from tiffin.oci.documents import decode, encode

LONGEST = 4 << 20
WAIT_SECONDS = 20.0
"""How long somebody who waits for events is kept waiting at a time."""
SCRAPE_SECONDS = 10.0
"""How long a scraper may take to ask."""
_POLL, _LEAVING = 0.2, 0.01
_STATUS: dict[type[TiffinError], int] = {NotFoundError: 404, UnavailableError: 503}

Run = Callable[[Callable[[], object]], Awaitable[object]]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request: what is to be done to what, with which words and which body."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    headers: dict[str, str] = {}
    body: bytes = b""


class Scaled(msgspec.Struct, frozen=True, kw_only=True):
    """Between how many replicas a service is to be kept."""

    least: int
    most: int


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A revision that is to have so many percent of the requests."""

    service: Service
    percent: float


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """Which revision to go back to."""

    number: int | None = None


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine is to run it."""

    engine: str


class Api:
    """Answers; `run` calls what blocks, one call at a time, and `look` what changes nothing, at once."""

    def __init__(self, services: Services, state: State, run: Run, watching: Watching, look: Run) -> None:
        self._services, self._state, self._run = services, state, run
        self._watching, self._look = watching, look
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self._open.add(writer)
        try:
            await write(writer, await self._reply(reader, self._answer))
        finally:
            self._open.discard(writer)
            writer.close()

    async def leave(self) -> None:
        """Let go of who still waits for an answer, and of who has just come."""
        await asyncio.sleep(_LEAVING)
        for writer in self._open:
            writer.close()

    async def scrape(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of somebody who may watch and nothing else, and who has to ask soon."""
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                reply = await self._reply(reader, self._watched)
        except TimeoutError:
            reply = Reply(status=408, body=b"")
        await write(writer, reply)

    async def _reply(self, reader: asyncio.StreamReader, answer: Callable[[Asked], Awaitable[Reply]]) -> Reply:
        try:
            return await answer(await read(reader))
        except TiffinError as error:
            status, told = _STATUS.get(type(error), 409), (error.code, error.message, error.hint or "")
        except (ValueError, KeyError, EOFError, OSError, asyncio.LimitOverrunError) as error:
            status, told = 400, ("config", str(error), "")
        code, message, hint = told
        return Reply(status=status, body=encode({"error": {"code": code, "message": message, "hint": hint}}))

    async def _answer(self, asked: Asked) -> Reply:
        if asked.method == "GET" and is_watched(asked.path):
            return await self._watched(asked)
        if (asked.method, asked.path) == ("GET", ("events",)):
            return Reply(body=encode(await self._events(asked.query)))
        return Reply(body=encode(await self._run(lambda: self._do(asked))))

    async def _watched(self, asked: Asked) -> Reply:
        if asked.method != "GET":
            raise NotFoundError("here services are watched, and nothing is changed", "`tiffin` changes services")
        found = await self._look(lambda: self._watching.answer(asked.path, asked.query, asked.headers))
        if not isinstance(found, Reply):
            raise NotFoundError(f"nothing answers to /{'/'.join(asked.path)}", "ask for /metrics or /discovery")
        return found

    def _do(self, asked: Asked) -> object:
        services = self._services
        match asked.method, *asked.path:
            case "GET", "services", *rest:
                return self._tell(rest)
            case "DELETE", "services", name:
                services.delete(name)
                return {}
            case "POST", ("plan" | "apply") as verb:
                service = decode(Service, asked.body, "the service")
                return services.plan(service) if verb == "plan" else services.apply(service)
            case "POST", "canary":
                tried = decode(Tried, asked.body, "the service")
                return services.canary(tried.service, tried.percent)
            case "POST", "services", name, verb:
                return self._change(name, verb, asked.body)
        raise NotFoundError(
            f"nothing answers to {asked.method} /{'/'.join(asked.path)}", "use a tiffin of this version"
        )

    def _tell(self, path: Sequence[str]) -> object:
        services = self._services
        match path:
            case []:
                return services.all()
            case [name]:
                return services.status(name)
            case [name, "wanted"]:
                return services.wanted(name)
        raise NotFoundError(f"nothing of a service is called {'/'.join(path[1:])}", "use a tiffin of this version")

    def _change(self, name: str, verb: str, body: bytes) -> object:
        services = self._services
        if verb == "scale":
            scaled = decode(Scaled, body, "the request")
            return services.scale(name, scaled.least, scaled.most)
        if verb == "rollback":
            return services.rollback(name, decode(Earlier, body, "the request").number)
        if verb in {"pause", "resume"}:
            return services.pause(name, on=verb == "pause")
        if verb == "move":
            return services.move(name, decode(Elsewhere, body, "the request").engine)
        if verb in {"promote", "restart"}:
            return services.promote(name) if verb == "promote" else services.restart(name)
        raise NotFoundError(f"nothing is called {verb}", "use a tiffin of this version")

    async def _events(self, query: dict[str, str]) -> object:
        after, last, wait = int(query.get("after", "0")), int(query.get("last", "1000")), float(query.get("wait", "0"))
        due = asyncio.get_running_loop().time() + min(wait, WAIT_SECONDS)
        while True:
            events = await self._look(lambda: self._state.events(query.get("service", ""), after, last))
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
        method=method,
        path=path,
        query=dict(parse_qsl(url.query)),
        headers=headers,
        body=await reader.readexactly(size) if size else b"",
    )
