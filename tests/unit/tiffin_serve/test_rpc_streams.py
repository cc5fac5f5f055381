"""Answers in parts, and who may ask: the service itself, with a queue whose answers the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.rpc import inference_pb2 as messages
from tiffin_serve.front.rpc.calls import Calls
from tiffin_serve.front.rpc.health import Readiness
from tiffin_serve.front.rpc.inference import Inference
from tiffin_serve.front.rpc.listening import guard
from tiffin_serve.front.rpc.switch import Served
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.service import ServedModel, Service
from tiffin_serve.protocol.signature import Signature, TensorSpec
from unit.tiffin_serve.rpcs import request, typed

SIGNATURE = Signature(inputs=(TensorSpec("n", "INT64", (-1,)),), batches=True, streams=True)
SERVICE = Service(name="iris", model=ServedModel(format="python"), worker=["true"])
Answer = Callable[[Any], None]
WORKERS: Any = SimpleNamespace()


def part(value: int) -> list[Output]:
    return [Output("n", "INT64", (1,), memoryview(value.to_bytes(8, "little")))]


class Queue:
    """Keeps what is asked and answers as it is told."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.calls: list[Any] = []

    def submit(self, call: Any, waiter: Any, seconds: float | None = None) -> None:
        del seconds
        self.calls.append((call, waiter))
        self._answer(waiter)

    def forget(self, job: Any) -> None:
        """Keep nothing."""


def converse(answer: Answer, *requests: Any, take: int = 100) -> tuple[list[Any], Queue]:
    """Send requests as one stream; gives the responses and the queue."""
    queue = Queue(answer)

    async def asked() -> AsyncIterator[bytes]:
        for one in requests:
            yield one.SerializeToString()

    async def talk() -> list[Any]:
        workers: Any = SimpleNamespace(dispatcher=queue, signature=SIGNATURE, unloaded=False, ready=True)
        served = Served(service=SERVICE, workers=workers, metrics=Metrics("iris"))
        calls = Calls()
        inference = Inference(asyncio.get_running_loop(), served, Readiness(lambda: True), calls)
        found: list[Any] = []
        responses = inference.model_stream_infer(asked(), None)
        async for response in responses:
            found.append(response)
            if len(found) == take:
                await responses.aclose()  # type: ignore[attr-defined] # an async generator
        assert calls.in_flight == 0
        return found

    return asyncio.run(talk()), queue


def number(value: int, **more: Any) -> Any:
    return request(typed("n", "INT64", [1], "int64_contents", [value]), **more)


def values(responses: list[Any]) -> list[list[int]]:
    return [[*output.contents.int64_contents] for one in responses for output in one.infer_response.outputs]


def test_each_part_is_a_message_and_an_empty_end_is_none() -> None:
    def answer(waiter: Any) -> None:
        for value in (1, 2, 3):
            waiter.part(part(value))
        waiter.deliver([])

    found, queue = converse(answer, number(0, id="a"), number(0, id="b"))
    assert values(found) == [[1], [2], [3]] * 2
    assert [one.infer_response.id for one in found] == ["a"] * 3 + ["b"] * 3
    assert all(call.kind.stream and call.kind.alone for call, _ in queue.calls)


def test_who_asks_for_a_final_message_gets_one_after_the_parts() -> None:
    def answer(waiter: Any) -> None:
        waiter.part(part(1))
        waiter.deliver(part(2))

    final = {"triton_enable_empty_final_response": messages.InferParameter(bool_param=True)}
    found, _ = converse(answer, number(0, parameters=final))
    assert values(found) == [[1], [2]]
    assert found[-1].infer_response.parameters["triton_final_response"].bool_param


def test_a_stream_that_fails_in_the_middle_says_so_after_its_parts() -> None:
    def answer(waiter: Any) -> None:
        waiter.part(part(1))
        waiter.fail(RequestError("the model failed: lost", 500))

    found, _ = converse(answer, number(0, id="a"))
    assert values(found) == [[1]]
    assert (found[-1].error_message, found[-1].infer_response.id) == ("the model failed: lost", "a")


def test_who_leaves_in_the_middle_of_a_stream_is_gone() -> None:
    _, queue = converse(lambda waiter: waiter.part(part(1)), number(0), take=1)
    assert [waiter.gone for _, waiter in queue.calls] == [True]


@pytest.mark.parametrize(
    ("metadata", "words"),
    [((), "this server wants a token"), ((("authorization", "Bearer no"),), "the token is not one of")],
    ids=["none", "wrong"],
)
def test_without_a_token_nobody_is_let_through(metadata: Any, words: str) -> None:
    served = Served(
        service=SERVICE,
        workers=WORKERS,
        metrics=Metrics("iris"),
        accept=lambda given: given == b"Bearer yes",
    )
    with pytest.raises(RequestError, match=words) as caught:
        guard(served, dict(metadata or ()))
    assert caught.value.status == 401
    guard(served, {"authorization": "Bearer yes"})
