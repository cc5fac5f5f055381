"""What the server answers on the metrics port: `/metrics` for Prometheus, `/drift` for people and programs.

`/workers` is for whoever starts the workers of a front: which are ready, which may not serve, and how requests went.
"""

from __future__ import annotations

import msgspec

from tiffin_serve.front.http.desk import Desk
from tiffin_serve.front.http.exchange import JSON, Exchange
from tiffin_serve.front.metrics.counters import Gauges, Metrics
from tiffin_serve.front.metrics.exposition import OPEN, PLAIN, gzip, prefers_openmetrics, takes_gzip, text
from tiffin_serve.front.workers.lines import Workers

GZIP_FROM = 1024
"""Bytes from which on compressing is worth the while."""


class MetricsApi:
    """The routes of the metrics port."""

    def __init__(self, metrics: Metrics, workers: Workers, desk: Desk) -> None:
        self._metrics = metrics
        self._workers = workers
        self._desk = desk
        self._routes = {b"/metrics": self._scrape, b"/drift": self._drift, b"/workers": self._tell_workers}

    def serve(self, exchange: Exchange) -> None:
        """Answer a scraper."""
        route = self._routes.get(exchange.path)
        if route is None:
            exchange.refuse(404, "there are only /metrics, /drift and /workers here")
        elif exchange.method not in {b"GET", b"HEAD"}:
            path = exchange.path.decode()
            exchange.refuse(405, f"{path} takes GET, HEAD", b"allow: GET, HEAD\r\n")
        else:
            route(exchange)

    def _scrape(self, exchange: Exchange) -> None:
        openmetrics = prefers_openmetrics(exchange.headers.get(b"accept", b""))
        body = text(self._metrics.families(self._gauges()), openmetrics=openmetrics).encode()
        _answer(exchange, body, OPEN if openmetrics else PLAIN)

    def _drift(self, exchange: Exchange) -> None:
        _answer(exchange, msgspec.json.encode(self._metrics.drift.document()), JSON)

    def _tell_workers(self, exchange: Exchange) -> None:
        gauges = self._gauges()
        document = {
            "ready": self._workers.since(),
            "failures": self._workers.failures,
            "in_flight": gauges.in_flight,
            "queued": gauges.queued,
            **self._metrics.asked(),
        }
        _answer(exchange, msgspec.json.encode(document), JSON)

    def _gauges(self) -> Gauges:
        dispatcher = self._workers.dispatcher
        ready, busy = len(self._workers), dispatcher.busy
        return Gauges(
            in_flight=self._desk.in_flight,
            queued=dispatcher.queued,
            workers={"busy": busy, "idle": max(ready - busy, 0)},
            ready=self._workers.ready,
        )


def _answer(exchange: Exchange, body: bytes, headers: bytes) -> None:
    headers += b"vary: accept, accept-encoding\r\n"
    if len(body) >= GZIP_FROM and takes_gzip(exchange.headers.get(b"accept-encoding", b"")):
        body, headers = gzip(body), headers + b"content-encoding: gzip\r\n"
    exchange.answer(200, body, headers)
