"""Triton's model repository extension: which models there are, loading and unloading the one there is."""

from __future__ import annotations

import asyncio

import msgspec

from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.front.rest.answers import Route, encode, post, refuse
from tiffin_serve.front.rest.served import Served
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.tensors import explain

LOOK_SECONDS = 0.02


class IndexRequest(msgspec.Struct):
    """What a client wants to see; `ready` leaves out models that are not."""

    ready: bool = False


class Repository:
    """The paths below /v2/repository."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def routes(self) -> list[Route]:
        """Give the table of paths."""
        model = f"/v2/repository/models/{self._served.name}"
        return [
            post("/v2/repository/index", self._index),
            post(f"{model}/load", self._load),
            post(f"{model}/unload", self._unload),
        ]

    def _index(self, exchange: Exchange) -> None:
        served, only_ready = self._served, _read(exchange.body).ready
        state, reason = ("UNAVAILABLE", "unloaded") if served.workers.unloaded else ("LOADING", "")
        if served.workers.ready and not served.workers.unloaded:
            state = "READY"
        entry = {"name": served.name, "version": served.version, "state": state, "reason": reason}
        exchange.answer(200, encode([entry] if state == "READY" or not only_ready else []))

    def _load(self, exchange: Exchange) -> None:
        """Answer when the model is there, at once where it is."""
        self._served.workers.load()
        loop = asyncio.get_running_loop()
        Loading(exchange, self._served, loop, loop.time() + self._served.service.serve.load_seconds).look()

    def _unload(self, exchange: Exchange) -> None:
        self._served.workers.unload()
        exchange.answer(200, b"{}")


def _read(body: bytes) -> IndexRequest:
    try:
        return msgspec.json.decode(body or b"{}", type=IndexRequest)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise RequestError(explain(error, "request")) from error


class Loading:
    """Someone who waits for a model that is loaded again."""

    def __init__(self, exchange: Exchange, served: Served, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._exchange = exchange
        self._served = served
        self._loop = loop
        self._deadline = deadline

    def look(self) -> None:
        """Answer, or look again soon: a load is rare, and a look is cheap."""
        workers, name = self._served.workers, self._served.name
        if self._exchange.gone:
            return
        if workers.unloaded:
            refuse(self._exchange, RequestError(f"failed to load '{name}': it was unloaded meanwhile"))
        elif workers.ready:
            self._exchange.answer(200, b"{}")
        elif workers.failure:
            refuse(self._exchange, RequestError(f"failed to load '{name}': {workers.failure}"))
        elif self._loop.time() > self._deadline:
            refuse(self._exchange, RequestError(f"failed to load '{name}': it takes too long", 503))
        else:
            self._loop.call_later(LOOK_SECONDS, self.look)
