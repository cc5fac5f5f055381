"""What the server answers on which path."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from tiffin_serve import __version__
from tiffin_serve.front.http.connection import Desk, Exchange
from tiffin_serve.front.log import report
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.rest.asking import ask
from tiffin_serve.front.rest.streaming import Streams, form_of
from tiffin_serve.front.workers.lines import Workers
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import InferAnswer, bind, read_request
from tiffin_serve.protocol.outputs import Output, as_json
from tiffin_serve.protocol.rows import bind_rows, plain, read_rows
from tiffin_serve.protocol.service import Service
from tiffin_serve.protocol.signature import Signature

Answers = Callable[[Exchange], None]
TEXT = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"

_encode = msgspec.json.Encoder().encode


class InferWaiter:
    """Someone who waits for the answer to an inference request."""

    __slots__ = ("_exchange", "_id", "_outputs", "_service")

    def __init__(self, exchange: Exchange, service: Service, id_: str | None, outputs: tuple[str, ...]) -> None:
        self._exchange = exchange
        self._service = service
        self._id = id_
        self._outputs = outputs

    @property
    def gone(self) -> bool:
        """Say whether nobody waits any more."""
        return self._exchange.connection is None

    def part(self, outputs: list[Output]) -> None:
        """Take no part: an answer of this form is whole."""
        raise NotImplementedError

    def deliver(self, outputs: list[Output]) -> None:
        """Answer with the outputs that were asked for, in that order."""
        if self._outputs:
            named = {output.name: output for output in outputs}
            missing = [name for name in self._outputs if name not in named]
            if missing:
                self._exchange.refuse(400, f"unknown output '{missing[0]}'")
                return
            outputs = [named[name] for name in self._outputs]
        service = self._service
        answer = InferAnswer(service.name, service.version, [as_json(output) for output in outputs], self._id)
        self._exchange.answer(200, _encode(answer))

    def fail(self, error: RequestError) -> None:
        """Answer with the reason."""
        _refuse(self._exchange, error)


class RowsWaiter:
    """Someone who waits for plain predictions."""

    __slots__ = ("_exchange", "_signature")

    def __init__(self, exchange: Exchange, signature: Signature) -> None:
        self._exchange = exchange
        self._signature = signature

    @property
    def gone(self) -> bool:
        """Say whether nobody waits any more."""
        return self._exchange.connection is None

    def part(self, outputs: list[Output]) -> None:
        """Take no part: an answer of this form is whole."""
        raise NotImplementedError

    def deliver(self, outputs: list[Output]) -> None:
        """Answer with predictions."""
        self._exchange.answer(200, _encode(plain([as_json(output) for output in outputs], self._signature)))

    def fail(self, error: RequestError) -> None:
        """Answer with the reason."""
        _refuse(self._exchange, error)


def _refuse(exchange: Exchange, error: RequestError) -> None:
    retry = b"retry-after: %d\r\n" % error.retry_seconds if error.status == 503 else b""  # noqa: PLR2004 - HTTP's number
    exchange.refuse(error.status, error.message, retry)


class Api:
    """The routes of the HTTP port."""

    def __init__(self, service: Service, workers: Workers) -> None:
        self._service = service
        self._workers = workers
        self.draining = False
        self._streams = Streams(service, self._signature, workers.dispatcher)
        self._routes = self._make_routes()

    def serve(self, exchange: Exchange) -> None:
        """Answer a request now, or see to it that it is answered later."""
        try:
            methods = self._routes.get(exchange.path) or self._find(exchange.path)
            route = methods.get(exchange.method)
            if route is None:
                allowed = b", ".join(methods)
                message = f"{exchange.path.decode('latin-1')} takes {allowed.decode()}"
                exchange.refuse(405, message, b"allow: %b\r\n" % allowed)
            else:
                route(exchange)
        except RequestError as error:
            _refuse(exchange, error)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and the log gets the traceback
            report("a request could not be served", traceback=traceback.format_exc())
            exchange.refuse(500, "internal error")

    def _make_routes(self) -> dict[bytes, dict[bytes, Answers]]:
        name, version = self._service.name, self._service.version
        routes: dict[str, dict[bytes, Answers]] = {
            "/": _reading(self._index),
            "/v2": _reading(self._server),
            "/v2/": _reading(self._server),
            "/v2/health/live": _reading(self._live),
            "/v2/health/ready": _reading(self._ready),
            "/predict": {b"POST": self._predict},
        }
        for model in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            routes[model] = _reading(self._model)
            routes[f"{model}/ready"] = _reading(self._model_ready)
            routes[f"{model}/infer"] = {b"POST": self._infer}
            routes[f"{model}/infer_stream"] = {b"POST": self._streams.infer}
            routes[f"{model}/generate"] = {b"POST": self._streams.generate}
            routes[f"{model}/generate_stream"] = {b"POST": self._streams.generate_stream}
        return {path.encode(): methods for path, methods in routes.items()}

    def _find(self, path: bytes) -> dict[bytes, Answers]:
        """Look again with percent signs resolved; raises RequestError that says what there is."""
        plain_path = unquote_to_bytes(path)
        if plain_path in self._routes:
            return self._routes[plain_path]
        shown = plain_path.decode("utf-8", "replace")[:200]
        name, version = self._service.name, self._service.version
        if shown.startswith("/v2/models/"):
            asked = shown.split("/")[3]
            if asked != name:
                raise RequestError(f"there is no model '{asked}'; this server has '{name}'", 404)
            if "/versions/" in shown:
                raise RequestError(f"there is no such version of '{name}'; this server has version '{version}'", 404)
        raise RequestError(f"there is nothing at {shown}; GET / lists what there is", 404)

    def _index(self, exchange: Exchange) -> None:
        model = f"/v2/models/{self._service.name}"
        urls = {"predict": "/predict", "model": model, "infer": f"{model}/infer", "ready": "/v2/health/ready"}
        exchange.answer(200, _encode({"name": self._service.name, "version": self._service.version, "urls": urls}))

    def _server(self, exchange: Exchange) -> None:
        exchange.answer(200, _encode({"name": "tiffin", "version": __version__, "extensions": []}))

    def _live(self, exchange: Exchange) -> None:
        exchange.answer(200, b'{"live":true}')

    def _ready(self, exchange: Exchange) -> None:
        self._check_ready()
        exchange.answer(200, b'{"live":true,"ready":true}')

    def _model_ready(self, exchange: Exchange) -> None:
        self._check_ready()
        exchange.answer(200, _encode({"name": self._service.name, "ready": True}))

    def _check_ready(self) -> None:
        if self.draining:
            raise RequestError("the server is stopping", 503)
        if not self._workers.ready:
            raise RequestError("the model is not loaded", 503)

    def _signature(self) -> Signature:
        signature = self._workers.signature
        if signature is None:
            raise RequestError("the model is not loaded yet", 503)
        return signature

    def _model(self, exchange: Exchange) -> None:
        signature = self._signature()
        document: dict[str, Any] = {
            "name": self._service.name,
            "versions": [self._service.version],
            "platform": signature.platform,
            "inputs": signature.inputs,
            "outputs": signature.outputs,
        }
        if signature.columns:
            document["properties"] = {"columns": ",".join(signature.columns)}
        exchange.answer(200, _encode(document))

    def _infer(self, exchange: Exchange) -> None:
        if b"inference-header-content-length" in exchange.headers:
            raise RequestError("binary tensor data is not spoken here; send the tensors as JSON", 415)
        signature = self._signature()
        request = read_request(exchange.body)
        call = bind(request, signature)
        waiter = InferWaiter(exchange, self._service, request.id, call.kind.outputs)
        ask(self._workers.dispatcher, exchange, call, waiter, request.parameters)

    def _predict(self, exchange: Exchange) -> None:
        form = form_of(exchange.headers[b"accept"]) if b"accept" in exchange.headers else None
        if form is not None:
            self._streams.predict(exchange, form)
            return
        signature = self._signature()
        call = bind_rows(read_rows(exchange.body), signature)
        ask(self._workers.dispatcher, exchange, call, RowsWaiter(exchange, signature))


class MetricsApi:
    """The routes of the metrics port."""

    def __init__(self, metrics: Metrics, workers: Workers, desk: Desk) -> None:
        self._metrics = metrics
        self._workers = workers
        self._desk = desk

    def serve(self, exchange: Exchange) -> None:
        """Answer a scraper."""
        if exchange.path != b"/metrics":
            exchange.refuse(404, "there is only /metrics here")
        elif exchange.method not in {b"GET", b"HEAD"}:
            exchange.refuse(405, "/metrics takes GET, HEAD", b"allow: GET, HEAD\r\n")
        else:
            text = self._metrics.text(
                in_flight=self._desk.in_flight, queued=self._workers.dispatcher.queued, workers=len(self._workers)
            )
            exchange.answer(200, text.encode(), TEXT)


def _reading(answers: Answers) -> dict[bytes, Answers]:
    return {b"GET": answers, b"HEAD": answers}
