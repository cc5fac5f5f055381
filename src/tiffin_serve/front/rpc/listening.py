"""grpcio's server: which method answers which question, and how errors become statuses. Heavy: imported late."""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # clients' mistakes are no news, and its log is no JSON

import grpc
import grpc.aio

from tiffin_serve.front.log import report
from tiffin_serve.front.rpc import health, inference
from tiffin_serve.front.rpc.calls import Calls
from tiffin_serve.front.rpc.health import Readiness
from tiffin_serve.front.rpc.status import status_of
from tiffin_serve.front.rpc.switch import Metadata, Served, Switch
from tiffin_serve.protocol.errors import RequestError

HANDSHAKE_MS = 10_000
Asked = Callable[[inference.Inference, bytes], Awaitable[Any]]


def guard(served: Served, metadata: Metadata) -> None:
    """Raise RequestError for a call without a token where one is wanted."""
    if served.accept is None:
        return
    given = metadata.get("authorization")
    if given is None:
        raise RequestError("this server wants a token: send the metadata `authorization: Bearer TOKEN`", 401)
    if not served.accept(given.encode() if isinstance(given, str) else given):
        raise RequestError("the token is not one of this server's", 401)


async def listen(address: str, handlers: list[grpc.GenericRpcHandler], max_bytes: int) -> grpc.aio.Server:
    """Start a server on a private address."""
    options = [
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
        ("grpc.so_reuseport", 0),
    ]
    with _unsignalled():
        server = grpc.aio.server(handlers=handlers, options=options)
        server.add_insecure_port(address)
        await server.start()
    return server


@contextmanager
def _unsignalled() -> Iterator[None]:
    """Let threads that are started meanwhile take no signal: the front's thread alone knows what one means."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def handlers(
    loop: asyncio.AbstractEventLoop, switch: Switch, readiness: Readiness, calls: Calls
) -> list[grpc.GenericRpcHandler]:
    """Bind everything that is answered here."""
    names = frozenset({"", inference.SERVICE, switch.main({}).service.name})
    asking = Asking(loop, switch, readiness, calls)
    return [_inference_handler(asking), _health_handler(health.Health(readiness, names))]


class Asking:
    """Puts each call before the model that is to answer it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, switch: Switch, readiness: Readiness, calls: Calls) -> None:
        self._loop = loop
        self._switch = switch
        self._readiness = readiness
        self._calls = calls

    def main(self, metadata: Metadata, *, guarded: bool) -> inference.Inference:
        """Give who answers what asks no model; raises RequestError."""
        served = self._switch.main(metadata)
        if guarded:
            guard(served, metadata)
        return inference.Inference(self._loop, served, self._readiness, self._calls)

    @asynccontextmanager
    async def model(
        self, context: Any, requests: int, size: int = 0
    ) -> AsyncIterator[tuple[inference.Inference, float | None]]:
        """Give who answers a call, and for how many seconds, while it counts; raises RequestError."""
        metadata, seconds = _metadata(context), context.time_remaining()
        with self._calls.one(self._switch.main({}).metrics, requests) as whose:
            async with self._switch.choose(metadata, seconds, size) as (served, left, said):
                whose.metrics = served.metrics
                guard(served, metadata)
                if said:
                    context.set_trailing_metadata(said)
                yield inference.Inference(self._loop, served, self._readiness, self._calls), left


def _metadata(context: Any) -> Metadata:
    return dict(context.invocation_metadata() or ())


def _inference_handler(asking: Asking) -> grpc.GenericRpcHandler:
    """Bind the protocol's methods; whether the server is up may be asked without a token, as over HTTP."""

    async def infer(data: bytes, context: Any) -> bytes:
        async with asking.model(context, 1, len(data)) as (model, seconds):
            return _bytes(await model.model_infer(data, seconds))

    async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async with asking.model(context, 0) as (model, seconds):
            async for response in model.model_stream_infer(requests, seconds):
                yield _bytes(response)

    def free(asked: Asked) -> Any:
        async def answer(data: bytes, context: Any) -> bytes:
            return _bytes(await asked(asking.main(_metadata(context), guarded=False), data))

        return _unary(answer)

    def guarded(asked: Asked) -> Any:
        async def answer(data: bytes, context: Any) -> bytes:
            return _bytes(await asked(asking.main(_metadata(context), guarded=True), data))

        return _unary(answer)

    questions = inference.Inference
    methods = {
        "ServerLive": free(questions.server_live),
        "ServerReady": free(questions.server_ready),
        "ModelReady": guarded(questions.model_ready),
        "ServerMetadata": guarded(questions.server_metadata),
        "ModelMetadata": guarded(questions.model_metadata),
        "RepositoryIndex": guarded(questions.repository_index),
        "RepositoryModelLoad": guarded(questions.repository_model_load),
        "RepositoryModelUnload": guarded(questions.repository_model_unload),
        "ModelStatistics": guarded(questions.model_statistics),
        "ModelInfer": _unary(infer),
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(_telling_stream(stream)),
    }
    return grpc.method_handlers_generic_handler(inference.SERVICE, methods)


def _health_handler(questions: health.Health) -> grpc.GenericRpcHandler:
    """Bind the methods of the health service, which needs no token either."""

    async def check(data: bytes, _: Any) -> bytes:
        return _bytes(await questions.check(data))

    async def watch(data: bytes, _: Any) -> AsyncIterator[bytes]:
        async for response in questions.watch(data):
            yield _bytes(response)

    methods = {"Check": _unary(check), "Watch": grpc.unary_stream_rpc_method_handler(_telling_stream(watch))}
    return grpc.method_handlers_generic_handler(health.SERVICE, methods)


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _unary(answer: Callable[[bytes, Any], Awaitable[bytes]]) -> Any:
    """Answer with bytes, or with the status that says why not."""

    async def told(data: bytes, context: Any) -> bytes:
        try:
            return await answer(data, context)
        except RequestError as error:
            await context.abort(status_of(error), error.message)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and the log gets the traceback
            await _abort_unknown(context)
        raise AssertionError  # `abort` raises

    return grpc.unary_unary_rpc_method_handler(told)


def _telling_stream(answer: Callable[[Any, Any], AsyncIterator[bytes]]) -> Any:
    """Do the same for an answer in parts."""

    async def told(asked: Any, context: Any) -> AsyncIterator[bytes]:
        try:
            async for data in answer(asked, context):
                yield data
        except RequestError as error:
            await context.abort(status_of(error), error.message)
        except Exception:  # noqa: BLE001 - as above
            await _abort_unknown(context)

    return told


async def _abort_unknown(context: Any) -> None:
    report("a gRPC request could not be served", traceback=traceback.format_exc())
    await context.abort(grpc.StatusCode.INTERNAL, "internal error")
