"""TensorFlow Serving's REST API below /v1, which KServe's first protocol shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tiffin_serve.front.http.exchange import JSON, Exchange
from tiffin_serve.front.rest.answers import RETRY, UNAVAILABLE, Reply, Route, Waiting, encode, get, post
from tiffin_serve.front.rest.served import Served
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.tensorflow import bind_predict, by_row, by_tensor, metadata, read_predict, status


class TensorFlow:
    """The paths below /v1."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def routes(self) -> list[Route]:
        """Give the table of paths."""
        name, version = self._served.name, self._served.version
        routes = [get("/v1/models", self._list)]
        for model in (f"/v1/models/{name}", f"/v1/models/{name}/versions/{version}"):
            routes += [
                get(model, self._status),
                get(f"{model}/metadata", self._metadata),
                post(f"{model}:predict", self._predict),
                post(f"{model}:classify", self._refuse),
                post(f"{model}:regress", self._refuse),
            ]
        return routes

    def _list(self, exchange: Exchange) -> None:
        exchange.answer(200, encode({"models": [self._served.name]}))

    def _status(self, exchange: Exchange) -> None:
        """Tell it in TensorFlow Serving's form and in KServe's, which has `name` and `ready`."""
        unready = self._served.unready
        told = {"name": self._served.name, "ready": not unready, **status(self._served.version, unready)}
        if unready:
            exchange.answer(UNAVAILABLE, encode({**told, "error": unready}), JSON + RETRY)
        else:
            exchange.answer(200, encode(told))

    def _metadata(self, exchange: Exchange) -> None:
        exchange.answer(200, encode(metadata(self._served.name, self._served.version, self._served.signature())))

    def _predict(self, exchange: Exchange) -> None:
        signature = self._served.asked(exchange)
        request = read_predict(exchange.body)
        call = bind_predict(request, signature)
        self._served.submit(exchange, call, PredictWaiter(exchange, by_row if request.inputs is None else by_tensor))

    def _refuse(self, exchange: Exchange) -> None:
        del exchange
        raise RequestError("tf.Example is not read here; send plain values to :predict", 501)


class PredictWaiter(Waiting, eq=False):
    """Someone who waits for predictions by row or by tensor."""

    _form: Callable[[Sequence[Output]], dict[str, Any]]

    def write(self, outputs: list[Output]) -> Reply:
        """Write the answer as it was asked for."""
        return encode(self._form(outputs)), JSON
