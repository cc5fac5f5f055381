"""grpcio's server: which method answers which question, and how errors become statuses. Heavy: imported late."""

from __future__ import annotations

import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # clients' mistakes are no news, and its log is no JSON

import grpc
import grpc.aio

from tiffin_serve.front.log import report
from tiffin_serve.front.rpc import health, inference
from tiffin_serve.front.rpc.status import status_of
from tiffin_serve.protocol.errors import RequestError

HANDSHAKE_MS = 10_000
Asked = Callable[[bytes], Awaitable[Any]]
Admit = Callable[[dict[str, str]], None]


class InFlight:
    """Counts the inference calls that are not answered yet."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


async def listen(address: str, handlers: list[grpc.GenericRpcHandler], max_bytes: int) -> grpc.aio.Server:
    """Start a server on a private address."""
    options = [
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(handlers=handlers, options=options)
    server.add_insecure_port(address)
    await server.start()
    return server


def inference_handler(questions: inference.Inference, in_flight: InFlight, admit: Admit) -> grpc.GenericRpcHandler:
    """Bind the protocol's methods."""

    async def infer(data: bytes, context: Any) -> bytes:
        with in_flight:
            admit_call(context)
            return _bytes(await questions.model_infer(data, context.time_remaining()))

    async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        with in_flight:
            admit_call(context)
            async for response in questions.model_stream_infer(requests, context.time_remaining()):
                yield _bytes(response)

    def admit_call(context: Any) -> None:
        admit(dict(context.invocation_metadata() or ()))

    def plain(asked: Asked) -> Any:
        async def answer(data: bytes, context: Any) -> bytes:
            admit_call(context)
            return _bytes(await asked(data))

        return _unary(answer)

    methods = {
        "ServerLive": plain(questions.server_live),
        "ServerReady": plain(questions.server_ready),
        "ModelReady": plain(questions.model_ready),
        "ServerMetadata": plain(questions.server_metadata),
        "ModelMetadata": plain(questions.model_metadata),
        "RepositoryIndex": plain(questions.repository_index),
        "RepositoryModelLoad": plain(questions.repository_model_load),
        "RepositoryModelUnload": plain(questions.repository_model_unload),
        "ModelInfer": _unary(infer),
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(_telling_stream(stream)),
    }
    return grpc.method_handlers_generic_handler(inference.SERVICE, methods)


def health_handler(questions: health.Health) -> grpc.GenericRpcHandler:
    """Bind the methods of the health service, which needs no token, as with HTTP."""

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
