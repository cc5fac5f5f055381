"""A worker that waits for a slow client is heard again whatever comes next: else its next batch would wait for ever."""

from __future__ import annotations

from tiffin_serve.front.batching.batches import Job
from tiffin_serve.protocol.call import Call, CallKind, TensorKind
from tiffin_serve.protocol.frames import Part, Result, ResultTensor
from unit.tiffin_serve.simulated import Scene, Waiter

STREAM = CallKind((TensorKind("x", "FP64", (1, 1)),), alone=True, stream=True)


def held(scene: Scene) -> Waiter:
    waiter = Waiter(scene.clock)
    job: Job = scene.dispatcher.submit(Call(STREAM, 1, (bytes(8),)), waiter)
    scene.clock.run()
    scene.dispatcher.hold(job, on=True)
    assert scene.worker.held
    return waiter


def test_a_held_worker_whose_end_had_come_already_is_heard_again() -> None:
    scene = Scene()
    waiter = held(scene)
    scene.dispatcher.finished(scene.worker, Result(id=1, outputs=()), memoryview(b""))
    assert (waiter.status, scene.worker.held) == (200, False)


def test_a_held_worker_whose_next_part_cannot_be_used_is_heard_again() -> None:
    scene = Scene()
    waiter = held(scene)
    tensor = ResultTensor("y", "FP64", (9, 9), 8)
    scene.dispatcher.part(scene.worker, Part(id=1, outputs=(tensor,)), memoryview(bytes(8)))
    assert (waiter.status, scene.worker.held) == (500, False)
    assert waiter.error is not None
    assert waiter.error.message.startswith("the model's answer cannot be used: output 'y' has 1 values")
