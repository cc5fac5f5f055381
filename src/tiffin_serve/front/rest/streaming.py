"""Answers in parts: server-sent events and JSON lines, for models that yield; any other model's answer is one part.

What fails before the first part is an ordinary error of HTTP. After it the status has left, so the error is the last
event. A client that reads slower than the model yields makes the worker wait (`hold`), and one that goes makes it stop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from tiffin_serve.front.batching.batches import Job
from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.http.exchange import JSON, Exchange
from tiffin_serve.front.rest.answers import Route, post, refuse
from tiffin_serve.front.rest.asking import ask
from tiffin_serve.front.rest.served import Served
from tiffin_serve.protocol.call import Call, streamed
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import bind, read_request
from tiffin_serve.protocol.outputs import InferAnswer, Output, as_json
from tiffin_serve.protocol.rows import bind_rows, plain
from tiffin_serve.protocol.tensors import explain

Render = Callable[[list[Output]], Any]
_encode = msgspec.json.Encoder().encode
_NOT_TENSORS = {"id", "parameters"}


class Form(NamedTuple):
    """How events are written: the head, what stands around a document, around an error, and what ends it all."""

    headers: bytes
    event: bytes
    error: bytes
    end: bytes


EVENTS = Form(
    b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-store\r\nx-accel-buffering: no\r\n",
    b"data: %b\n\n",
    b"event: error\ndata: %b\n\n",
    b"event: end\ndata: {}\n\n",
)
LINES = Form(
    b"content-type: application/x-ndjson\r\ncache-control: no-store\r\nx-accel-buffering: no\r\n",
    b"%b\n",
    b"%b\n",
    b"",
)
_FORMS = {b"text/event-stream": EVENTS, b"application/x-ndjson": LINES}


@lru_cache(maxsize=64)
def form_of(accept: bytes) -> Form | None:
    """Give the form that a header Accept asks for, or None where it asks for a whole answer."""
    for item in accept.lower().split(b","):
        form = _FORMS.get(item.partition(b";")[0].strip())
        if form is not None:
            return form
    return None


class Streaming:
    """What the waiters for a stream share: the client, and the way to have the worker wait or stop."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._dispatcher: Dispatcher | None = None
        self._job: Job | None = None

    @property
    def gone(self) -> bool:
        """Say whether nobody waits any more."""
        return self._exchange.connection is None

    @property
    def exchange(self) -> Exchange:
        """Give the request that is to be answered."""
        return self._exchange

    def steer(self, dispatcher: Dispatcher, job: Job) -> None:
        """Take hold of the job, to have its worker wait for a client that reads slowly."""
        self._dispatcher, self._job = dispatcher, job
        self._exchange.room = self._go_on

    def fail(self, error: RequestError) -> None:
        """Answer with the reason."""
        refuse(self._exchange, error)

    def _wait_where_full(self) -> None:
        if self._exchange.full and self._dispatcher is not None and self._job is not None:
            self._dispatcher.hold(self._job, on=True)

    def _go_on(self) -> None:
        if self._dispatcher is not None and self._job is not None:
            self._dispatcher.hold(self._job, on=False)

    def _stop(self) -> None:
        if self._dispatcher is not None and self._job is not None:
            self._dispatcher.forget(self._job)


class StreamWaiter(Streaming):
    """Someone who reads an answer part by part."""

    def __init__(self, exchange: Exchange, form: Form, render: Render) -> None:
        super().__init__(exchange)
        self._form = form
        self._render = render

    def part(self, outputs: list[Output]) -> None:
        """Send a part; the first sends the head before it."""
        event = self._form.event % _encode(self._render(outputs))
        if self._exchange.flow is None:
            self._exchange.begin(200, self._form.headers)
        self._exchange.send(event)
        self._wait_where_full()

    def deliver(self, outputs: list[Output]) -> None:
        """Send what came with the end, and the end."""
        if outputs or self._exchange.flow is None:
            self.part(outputs)
        self._exchange.send(self._form.end)
        self._exchange.end()

    def fail(self, error: RequestError) -> None:
        """Tell the reason by status, or as the last event when the status has left."""
        if self._exchange.flow is None:
            super().fail(error)
            return
        self._exchange.send(self._form.error % _encode({"error": error.message}))
        self._exchange.end()


class WholeWaiter(Streaming):
    """Someone who wants all parts of an answer in one, at most so many bytes."""

    def __init__(self, exchange: Exchange, most: int, render: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__(exchange)
        self._render = render
        self._left = most
        self._values: dict[str, list[Any]] = {}

    def part(self, outputs: list[Output]) -> None:
        """Keep a part."""
        for output in outputs:
            self._left -= len(output.data)
            self._values.setdefault(output.name, []).extend(as_json(output).data)
        if self._left < 0:
            self._stop()
            super().fail(RequestError("the answer is too long to be given in one piece; ask for a stream of it", 500))

    def deliver(self, outputs: list[Output]) -> None:
        """Answer with what came: texts are put together, numbers are in a list."""
        self.part(outputs)
        joined = {name: _joined(values) for name, values in self._values.items()}
        self._exchange.answer(200, _encode(self._render(joined)), JSON)


def _joined(values: list[Any]) -> Any:
    if values and all(isinstance(value, str) for value in values):
        return "".join(values)
    return _single(values)


def _single(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


class Streams:
    """The paths that stream."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._service = served.service

    def routes(self) -> list[Route]:
        """Give the table of paths."""
        name, version = self._served.name, self._served.version
        return [
            post(f"{model}/{verb}", answers)
            for model in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}")
            for verb, answers in (
                ("infer_stream", self.infer),
                ("generate", self.generate),
                ("generate_stream", self.generate_stream),
            )
        ]

    def infer(self, exchange: Exchange) -> None:
        """Answer `infer_stream`: a request of the protocol, each part as an answer of it."""
        signature = self._served.signature()
        request = read_request(exchange.body)
        call = bind(request, signature)
        wanted, service = call.kind.outputs, self._service

        def render(outputs: list[Output]) -> InferAnswer:
            told = [as_json(output) for output in outputs if not wanted or output.name in wanted]
            return InferAnswer(service.name, service.version, told, request.id)

        waiter = StreamWaiter(exchange, form_of(exchange.headers.get(b"accept", b"")) or EVENTS, render)
        self._ask(exchange, call, waiter, request.parameters)

    def predict(self, exchange: Exchange, call: Call, form: Form) -> None:
        """Answer `/predict` for those who accept events or lines."""
        signature = self._served.signature()
        waiter = StreamWaiter(exchange, form, lambda outputs: plain([as_json(o) for o in outputs], signature))
        self._ask(exchange, call, waiter, None)

    def generate(self, exchange: Exchange) -> None:
        """Answer `generate`: one flat object of inputs and parameters, all parts in one."""
        id_, call, parameters = self._read(exchange)
        most = self._service.serve.max_body_bytes
        waiter = WholeWaiter(exchange, most, lambda values: {**self._named(id_), **values})
        self._ask(exchange, call, waiter, parameters)

    def generate_stream(self, exchange: Exchange) -> None:
        """Answer `generate_stream`: the same, part by part."""
        id_, call, parameters = self._read(exchange)

        def render(outputs: list[Output]) -> dict[str, Any]:
            return {**self._named(id_), **{output.name: _single(as_json(output).data) for output in outputs}}

        form = form_of(exchange.headers.get(b"accept", b"")) or EVENTS
        self._ask(exchange, call, StreamWaiter(exchange, form, render), parameters)

    def _read(self, exchange: Exchange) -> tuple[str | None, Call, dict[str, Any] | None]:
        """Read Triton's form of a generation: inputs by name beside `id` and `parameters`; raises RequestError."""
        signature = self._served.signature()
        try:
            document = msgspec.json.decode(exchange.body, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise RequestError(
                f'{explain(error, "request")}; send {{"input": value, "parameters": {{...}}}}'
            ) from error
        id_, parameters = document.get("id"), document.get("parameters")
        if not isinstance(id_, str | None) or not isinstance(parameters, dict | None):
            raise RequestError("request: `id` must be a text and `parameters` an object")
        row = {name: value for name, value in document.items() if name not in _NOT_TENSORS}
        if not row:
            raise RequestError("request: there are no inputs")
        call = bind_rows([row], signature)
        told = {name: value for name, value in (parameters or {}).items() if name != "timeout"}
        if told:
            text = msgspec.json.encode(told, order="deterministic").decode()
            call = Call(call.kind._replace(parameters=text), call.rows, call.data)
        return id_, call, parameters

    def _named(self, id_: str | None) -> dict[str, Any]:
        known = {"model_name": self._service.name, "model_version": self._service.version}
        return known if id_ is None else {**known, "id": id_}

    def _ask(
        self, exchange: Exchange, call: Call, waiter: StreamWaiter | WholeWaiter, parameters: dict[str, Any] | None
    ) -> None:
        if self._served.signature().streams:
            call = streamed(call)
        dispatcher = self._served.workers.dispatcher
        job = ask(dispatcher, exchange, call, waiter, parameters)
        waiter.steer(dispatcher, job)
