"""What the server answers on the metrics port: `/metrics` for Prometheus, `/drift` for people and programs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import msgspec

from tiffin_serve.front.http.desk import Desk
from tiffin_serve.front.http.exchange import JSON, Exchange
from tiffin_serve.front.metrics.counters import Gauges, Metrics
from tiffin_serve.front.metrics.exposition import OPEN, PLAIN, Family, gzip, prefers_openmetrics, takes_gzip, text
from tiffin_serve.front.metrics.processes import processes
from tiffin_serve.front.workers.lines import Workers

GZIP_FROM = 1024
"""Bytes from which on compressing is worth the while."""


class MetricsApi:
    """The routes of the metrics port."""

    def __init__(self, metrics: Metrics, workers: Workers, desk: Desk) -> None:
        self._metrics = metrics
        self._workers = workers
        self._desk = desk
        self._routes = {b"/metrics": self._scrape, b"/drift": self._drift}

    def serve(self, exchange: Exchange) -> None:
        """Answer a scraper."""
        route = self._routes.get(exchange.path)
        if route is None:
            exchange.refuse(404, "there are only /metrics and /drift here")
        elif exchange.method not in {b"GET", b"HEAD"}:
            path = exchange.path.decode()
            exchange.refuse(405, f"{path} takes GET, HEAD", b"allow: GET, HEAD\r\n")
        else:
            route(exchange)

    def _scrape(self, exchange: Exchange) -> None:
        answer_families(exchange, chain(self._metrics.families(self._gauges()), processes()))

    def _drift(self, exchange: Exchange) -> None:
        answer_packed(exchange, msgspec.json.encode(self._metrics.drift.document()), JSON)

    def _gauges(self) -> Gauges:
        return gauges_of(self._workers, self._desk.in_flight)


def gauges_of(workers: Workers, in_flight: int) -> Gauges:
    """Say how it is with workers, and with so many requests that are not answered yet."""
    ready, busy = len(workers), workers.dispatcher.busy
    return Gauges(
        in_flight=in_flight,
        queued=workers.dispatcher.queued,
        workers={"busy": busy, "idle": max(ready - busy, 0)},
        ready=workers.ready,
    )


def answer_families(exchange: Exchange, families: Iterable[Family]) -> None:
    """Answer a scraper in the format that it likes best."""
    openmetrics = prefers_openmetrics(exchange.headers.get(b"accept", b""))
    body = text(families, openmetrics=openmetrics).encode()
    answer_packed(exchange, body, OPEN if openmetrics else PLAIN)


def answer_packed(exchange: Exchange, body: bytes, headers: bytes) -> None:
    """Answer, compressed where that is worth it and can be read."""
    headers += b"vary: accept, accept-encoding\r\n"
    if len(body) >= GZIP_FROM and takes_gzip(exchange.headers.get(b"accept-encoding", b"")):
        body, headers = gzip(body), headers + b"content-encoding: gzip\r\n"
    exchange.answer(200, body, headers)
