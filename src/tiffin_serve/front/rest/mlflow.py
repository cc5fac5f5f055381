"""The paths of MLflow's scoring server: /invocations, /ping, /health, /version."""

from __future__ import annotations

from tiffin_serve import __version__
from tiffin_serve.front.http.exchange import JSON, Exchange
from tiffin_serve.front.rest.answers import Reply, Route, Waiting, encode, get, media_type, post
from tiffin_serve.front.rest.served import Served
from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.invocations import bind_invocation, predictions, read_invocation
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.rows import bind_rows
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.protocol.text_rows import read_csv

TEXT = b"content-type: text/plain; charset=utf-8\r\n"
JSON_TYPES = {b"", b"application/json"}
CSV = b"text/csv"


class Mlflow:
    """What MLflow's clients ask."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def routes(self) -> list[Route]:
        """Give the table of paths."""
        return [
            get("/ping", self._ping),
            get("/health", self._ping),
            get("/version", self._version),
            post("/invocations", self._invoke),
        ]

    def _ping(self, exchange: Exchange) -> None:
        unready = self._served.unready
        if unready:
            raise RequestError(unready, 503)
        exchange.answer(200, b"\n", TEXT)

    def _version(self, exchange: Exchange) -> None:
        exchange.answer(200, __version__.encode(), TEXT)

    def _invoke(self, exchange: Exchange) -> None:
        signature = self._served.asked(exchange)
        self._served.submit(exchange, _read(exchange, signature), InvocationWaiter(exchange, signature))


def _read(exchange: Exchange, signature: Signature) -> Call:
    kind = media_type(exchange.headers.get(b"content-type", b""))
    if kind == CSV:
        return bind_rows(read_csv(exchange.body, signature, header=True), signature)
    if kind not in JSON_TYPES:
        raise RequestError("the header `Content-Type` must be application/json or text/csv", 415)
    return bind_invocation(read_invocation(exchange.body), signature)


class InvocationWaiter(Waiting, eq=False):
    """Someone who waits for `predictions`."""

    _signature: Signature

    def write(self, outputs: list[Output]) -> Reply:
        """Write the answer as MLflow would."""
        return encode(predictions(outputs, self._signature)), JSON
