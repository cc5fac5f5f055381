"""The one model of this server, as every protocol sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiffin_serve.front.batching.batches import Waiter
from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.rest.asking import ask, seconds_of
from tiffin_serve.front.workers.lines import Workers
from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.service import Service
from tiffin_serve.protocol.signature import Signature


class Served:
    """A model by name and version, whether it is ready, and the way to it."""

    def __init__(self, service: Service, workers: Workers, metrics: Metrics) -> None:
        self.service = service
        self.workers = workers
        self.metrics = metrics
        self.draining = False
        self.wakes = False
        """Whether a request that finds no worker has one come, so that it may be asked."""
        self.routes: Mapping[bytes, Mapping[bytes, object]] = {}
        """Paths and methods of all protocols, for whoever tells of them."""

    @property
    def name(self) -> str:
        """Give the model's name."""
        return self.service.name

    @property
    def version(self) -> str:
        """Give the model's version."""
        return self.service.version

    @property
    def unready(self) -> str:
        """Say why no request can be answered; empty where one can."""
        if self.draining:
            return "the server is stopping"
        if self.workers.unloaded:
            return f"the model '{self.name}' is unloaded; POST /v2/repository/models/{self.name}/load loads it"
        return "" if self.workers.ready or self.wakes else "the model is not loaded"

    def signature(self) -> Signature:
        """Give what the model takes; raises RequestError where it is not there to be asked."""
        signature = self.workers.signature
        if self.workers.unloaded:
            raise RequestError(self.unready, 503)
        if signature is None:
            raise RequestError("the model is not loaded yet", 503)
        return signature

    def asked(self, exchange: Exchange) -> Signature:
        """Give what the model takes to who is about to read a request; raises RequestError where that is in vain."""
        dispatcher = self.workers.dispatcher
        if dispatcher.shut is not None:
            dispatcher.turn_away(seconds_of(exchange.headers))
        return self.signature()

    def submit(
        self, exchange: Exchange, call: Call, waiter: Waiter, parameters: Mapping[str, Any] | None = None
    ) -> None:
        """Let the model answer while the client waits; raises RequestError when too many wait already."""
        ask(self.workers.dispatcher, exchange, call, waiter, parameters)
