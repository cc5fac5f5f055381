"""A gRPC client of a running front, on grpcio's own channels and the messages of spec/inference.proto."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from tiffin_serve.front.rpc import health_pb2 as health
from tiffin_serve.front.rpc import inference_pb2 as inference

DEADLINE = 30.0
SERVICES = {inference: "inference.GRPCInferenceService", health: "grpc.health.v1.Health"}


class Client:
    """One channel; methods by name."""

    def __init__(self, port: int, options: list[tuple[str, Any]]) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)

    def ask(self, method: str, request: Any = None, *, seconds: float = DEADLINE, **more: Any) -> Any:
        return self.call(method)(request, timeout=seconds, wait_for_ready=True, **more)

    def call(self, method: str) -> Any:
        """Give the callable of a method of the inference service."""
        pair = getattr(inference, f"{method}Request"), getattr(inference, f"{method}Response")
        return self.channel.unary_unary(f"/{SERVICES[inference]}/{method}", _encode, pair[1].FromString)

    def stream(self, requests: Iterator[Any], **more: Any) -> Any:
        path = f"/{SERVICES[inference]}/ModelStreamInfer"
        response = inference.ModelStreamInferResponse.FromString
        return self.channel.stream_stream(path, _encode, response)(
            requests, timeout=DEADLINE, wait_for_ready=True, **more
        )

    def check(self, service: str = "") -> int:
        call = self.channel.unary_unary(f"/{SERVICES[health]}/Check", _encode, health.HealthCheckResponse.FromString)
        request = health.HealthCheckRequest(service=service)
        return int(call(request, timeout=DEADLINE, wait_for_ready=True).status)

    def watch(self, service: str = "") -> Any:
        call = self.channel.unary_stream(f"/{SERVICES[health]}/Watch", _encode, health.HealthCheckResponse.FromString)
        return call(health.HealthCheckRequest(service=service), timeout=DEADLINE, wait_for_ready=True)


def _encode(message: Any) -> bytes:
    data: bytes = message if isinstance(message, bytes) else message.SerializeToString() if message else b""
    return data


@contextmanager
def client(port: int, *options: tuple[str, Any]) -> Iterator[Client]:
    """Open a channel of its own (not shared with others of this process)."""
    made = Client(port, [("grpc.use_local_subchannel_pool", 1), *options])
    try:
        yield made
    finally:
        made.channel.close()


def refusal(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Give status and sentence of a refused call."""
    return error.code(), error.details()


def typed(name: str, datatype: str, shape: list[int], field: str, values: list[Any]) -> Any:
    contents = inference.InferTensorContents(**{field: values})
    return inference.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape, contents=contents)


def bare(name: str, datatype: str, shape: list[int]) -> Any:
    return inference.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)


def request(*inputs: Any, **more: Any) -> Any:
    return inference.ModelInferRequest(model_name=more.pop("model_name", "iris"), inputs=inputs, **more)
