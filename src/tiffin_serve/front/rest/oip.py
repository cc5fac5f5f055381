"""The Open Inference Protocol v2 (kserve/open-inference-protocol, specification of 2025-05) and two of its extensions.

Extensions are Triton's: binary tensor data, statistics. The model repository is in `repository`.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from tiffin_serve import __version__
from tiffin_serve.front.http.exchange import JSON, Exchange
from tiffin_serve.front.rest.answers import RETRY, UNAVAILABLE, Reply, Route, Waiting, encode, get, post
from tiffin_serve.front.rest.served import Served
from tiffin_serve.protocol.forms import Forms
from tiffin_serve.protocol.infer import InferRequest, read_mixed, read_request
from tiffin_serve.protocol.outputs import InferAnswer, Output, as_binary, as_json, select
from tiffin_serve.protocol.service import Service
from tiffin_serve.protocol.signature import Signature

EXTENSIONS = ("binary_tensor_data", "model_repository", "parameters", "statistics")
BINARY = b"content-type: application/octet-stream\r\ninference-header-content-length: %d\r\n"


class OpenInference:
    """The paths below /v2 but for the model repository."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._forms = Forms(Signature())

    def routes(self) -> list[Route]:
        """Give the table of paths."""
        name, version = self._served.name, self._served.version
        routes = [
            get("/v2", self._server),
            get("/v2/", self._server),
            get("/v2/health/live", self._live),
            get("/v2/health/ready", self._ready),
            get("/v2/models/stats", self._statistics),
        ]
        for model in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            routes += [
                get(model, self._model),
                get(f"{model}/ready", self._model_ready),
                get(f"{model}/stats", self._statistics),
                post(f"{model}/infer", self._infer),
            ]
        return routes

    def _server(self, exchange: Exchange) -> None:
        exchange.answer(200, encode({"name": "tiffin", "version": __version__, "extensions": EXTENSIONS}))

    def _live(self, exchange: Exchange) -> None:
        exchange.answer(200, b'{"live":true}')

    def _ready(self, exchange: Exchange) -> None:
        self._tell_ready(exchange, {"live": True})

    def _model_ready(self, exchange: Exchange) -> None:
        self._tell_ready(exchange, {"name": self._served.name})

    def _tell_ready(self, exchange: Exchange, whose: dict[str, Any]) -> None:
        """Say it by status, as the protocol has it, and in words for those who look at the body."""
        unready = self._served.unready
        if unready:
            exchange.answer(UNAVAILABLE, encode({**whose, "ready": False, "error": unready}), JSON + RETRY)
        else:
            exchange.answer(200, encode({**whose, "ready": True}))

    def _model(self, exchange: Exchange) -> None:
        signature = self._served.signature()
        document: dict[str, Any] = {
            "name": self._served.name,
            "versions": [self._served.version],
            "platform": signature.platform,
            "inputs": signature.inputs,
            "outputs": signature.outputs,
        }
        if properties := signature.properties:
            document["properties"] = properties
        exchange.answer(200, encode(document))

    def _statistics(self, exchange: Exchange) -> None:
        known = {"name": self._served.name, "version": self._served.version}
        exchange.answer(200, encode({"model_stats": [{**self._served.metrics.statistics(), **known}]}))

    def _infer(self, exchange: Exchange) -> None:
        served, header = self._served, exchange.headers.get(b"inference-header-content-length")
        signature = served.asked(exchange)
        request = read_request(exchange.body) if header is None else read_mixed(exchange.body, header, signature)
        if self._forms.signature is not signature:
            self._forms = Forms(signature)
        call = self._forms.bind(request)
        binary = wants_binary(request) if request.outputs or request.parameters else None
        waiter = InferWaiter(exchange, served.service, request.id, call.kind.outputs, binary)
        served.submit(exchange, call, waiter, request.parameters)


class Everything(Container[str]):
    """A set of all names but some."""

    def __init__(self, without: frozenset[str]) -> None:
        self._without = without

    def __contains__(self, name: object) -> bool:
        return name not in self._without


def wants_binary(request: InferRequest) -> Container[str] | None:
    """Say which outputs a client wants in binary form, if any; what an output says goes first."""
    whole = bool(request.parameters and request.parameters.get("binary_data_output"))
    told = {
        output.name: bool(output.parameters["binary_data"])
        for output in request.outputs or ()
        if output.parameters and "binary_data" in output.parameters
    }
    if whole:
        return Everything(frozenset(name for name, binary in told.items() if not binary))
    return frozenset(name for name, binary in told.items() if binary) or None


class InferWaiter(Waiting, eq=False):
    """Someone who waits for the answer to an inference request."""

    _service: Service
    _id: str | None
    _outputs: tuple[str, ...]
    _binary: Container[str] | None

    def write(self, outputs: list[Output]) -> Reply:
        """Write the outputs that were asked for, in that order, those wanted in binary form behind the JSON."""
        if self._outputs:
            outputs = select(outputs, self._outputs)
        service, binary = self._service, self._binary
        if binary is None:
            return encode(InferAnswer(service.name, service.version, [as_json(o) for o in outputs], self._id)), JSON
        told = [as_binary(o) if o.name in binary else as_json(o) for o in outputs]
        head = encode(InferAnswer(service.name, service.version, told, self._id))
        tensors = [o.data for o in outputs if o.name in binary]
        return (b"".join([head, *tensors]), BINARY % len(head)) if tensors else (head, JSON)
