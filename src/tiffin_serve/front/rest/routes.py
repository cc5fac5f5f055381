"""What the server answers on which path."""

from __future__ import annotations

import traceback
from urllib.parse import unquote_to_bytes

from tiffin_serve.front.http.exchange import Exchange
from tiffin_serve.front.log import report
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.rest.answers import Answers, refuse
from tiffin_serve.front.rest.mlflow import Mlflow
from tiffin_serve.front.rest.oip import OpenInference
from tiffin_serve.front.rest.pages.serving import Pages
from tiffin_serve.front.rest.people import People
from tiffin_serve.front.rest.repository import Repository
from tiffin_serve.front.rest.served import Served
from tiffin_serve.front.rest.streaming import Streams
from tiffin_serve.front.rest.tensorflow import TensorFlow
from tiffin_serve.front.workers.lines import Workers
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.service import Service

PROTOCOLS = (Pages, People, OpenInference, Streams, Repository, TensorFlow, Mlflow)
"""Who has paths; each gives the table of its own."""
MODELS = ("/v2/models/", "/v1/models/", "/v2/repository/models/")


class Api:
    """The routes of the HTTP port."""

    def __init__(self, service: Service, workers: Workers, metrics: Metrics) -> None:
        self._served = Served(service, workers, metrics)
        self._routes = self._served.routes = make_routes(self._served)

    @property
    def draining(self) -> bool:
        """Say whether the server is stopping."""
        return self._served.draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self._served.draining = value

    @property
    def wakes(self) -> bool:
        """Say whether a request that finds no worker has one come."""
        return self._served.wakes

    @wakes.setter
    def wakes(self, value: bool) -> None:
        self._served.wakes = value

    def serve(self, exchange: Exchange) -> None:
        """Answer a request now, or see to it that it is answered later."""
        try:
            methods = self._routes.get(exchange.path) or self._find(exchange.path)
            route = methods.get(exchange.method)
            if route is None:
                allowed = b", ".join(methods)
                if exchange.method == b"OPTIONS":
                    exchange.answer(200, b"", b"allow: %b, OPTIONS\r\n" % allowed)
                    return
                message = f"{exchange.path.decode('latin-1')} takes {allowed.decode()}"
                exchange.refuse(405, message, b"allow: %b\r\n" % allowed)
            else:
                route(exchange)
        except RequestError as error:
            refuse(exchange, error)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and the log gets the traceback
            report("a request could not be served", traceback=traceback.format_exc())
            exchange.refuse(500, "internal error")

    def _find(self, path: bytes) -> dict[bytes, Answers]:
        """Look again with percent signs resolved; raises RequestError that says what there is."""
        plain_path = unquote_to_bytes(path)
        if plain_path in self._routes:
            return self._routes[plain_path]
        raise not_found(plain_path.decode("utf-8", "replace")[:200], self._served.name, self._served.version)


def make_routes(served: Served) -> dict[bytes, dict[bytes, Answers]]:
    """Put the tables of all protocols together: path, then method; whoever reads may also ask for the head."""
    routes: dict[bytes, dict[bytes, Answers]] = {}
    for protocol in PROTOCOLS:
        for method, path, answers in protocol(served).routes():
            methods = routes.setdefault(path.encode(), {})
            methods[method] = answers
            if method == b"GET":
                methods[b"HEAD"] = answers
    return routes


def not_found(path: str, name: str, version: str) -> RequestError:
    """Say what is not there, and what is."""
    for prefix in MODELS:
        if path.startswith(prefix):
            asked = path.removeprefix(prefix).partition("/")[0].partition(":")[0]
            if asked != name:
                return RequestError(f"there is no model '{asked}'; this server has '{name}'", 404)
            if "/versions/" in path:
                return RequestError(f"there is no such version of '{name}'; this server has version '{version}'", 404)
    return RequestError(f"there is nothing at {path}; GET / lists what there is", 404)
