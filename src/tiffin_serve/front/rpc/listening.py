"""grpcio's server: which method answers which question, and how errors become statuses. Heavy: imported late."""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # clients' mistakes are no news, and its log is no JSON

import grpc
import grpc.aio

from tiffin_serve.front.log import report
from tiffin_serve.front.rpc import health, inference
from tiffin_serve.front.rpc.calls import Calls
from tiffin_serve.front.rpc.door import Served
from tiffin_serve.front.rpc.health import Readiness
from tiffin_serve.front.rpc.status import status_of
from tiffin_serve.protocol.errors import RequestError

HANDSHAKE_MS = 10_000
Asked = Callable[[bytes], Awaitable[Any]]


class Guard:
    """Lets through who may ask."""

    def __init__(self, accept: Callable[[bytes], bool] | None) -> None:
        self._accept = accept

    def check(self, context: Any) -> None:
        """Raise RequestError for a call without a token where one is wanted."""
        if self._accept is None:
            return
        given = dict(context.invocation_metadata() or ()).get("authorization")
        if given is None:
            raise RequestError("this server wants a token: send the metadata `authorization: Bearer TOKEN`", 401)
        if not self._accept(given.encode() if isinstance(given, str) else given):
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
    loop: asyncio.AbstractEventLoop, served: Served, readiness: Readiness, calls: Calls
) -> list[grpc.GenericRpcHandler]:
    """Bind everything that is answered here."""
    questions = inference.Inference(loop, served, readiness, calls)
    names = frozenset({"", inference.SERVICE, served.service.name})
    return [
        _inference_handler(questions, calls, Guard(served.accept)),
        _health_handler(health.Health(readiness, names)),
    ]


def _inference_handler(questions: inference.Inference, calls: Calls, guard: Guard) -> grpc.GenericRpcHandler:
    """Bind the protocol's methods; whether the server is up may be asked without a token, as over HTTP."""

    async def infer(data: bytes, context: Any) -> bytes:
        with calls.one(1):
            guard.check(context)
            return _bytes(await questions.model_infer(data, context.time_remaining()))

    async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        with calls.one(0):
            guard.check(context)
            async for response in questions.model_stream_infer(requests, context.time_remaining()):
                yield _bytes(response)

    def free(asked: Asked) -> Any:
        async def answer(data: bytes, _: Any) -> bytes:
            return _bytes(await asked(data))

        return _unary(answer)

    def guarded(asked: Asked) -> Any:
        async def answer(data: bytes, context: Any) -> bytes:
            guard.check(context)
            return _bytes(await asked(data))

        return _unary(answer)

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
