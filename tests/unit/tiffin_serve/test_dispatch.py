from __future__ import annotations

import pytest

from tiffin_serve.front.batching.loss import Loss
from tiffin_serve.protocol.call import Call, CallKind, TensorKind, streamed
from tiffin_serve.protocol.frames import FrameError, Part, Result
from unit.tiffin_serve.simulated import KIND, Scene, Waiter

STREAM = CallKind((TensorKind("x", "FP64", (1, 1)),), alone=True, stream=True)


def statuses(waiters: list[Waiter]) -> list[int]:
    return [waiter.status for waiter in waiters]


def test_what_comes_in_one_turn_of_the_loop_leaves_together() -> None:
    scene = Scene()
    waiters = [scene.ask(value=bytes([place]) * 8) for place in range(3)]
    scene.clock.run()
    assert scene.worker.rows == 3
    scene.worker.answer()
    assert [bytes(waiter.outputs[0].data) for waiter in waiters if waiter.outputs] == [bytes([n]) * 8 for n in range(3)]


def test_what_comes_while_the_worker_is_busy_leaves_when_it_is_free() -> None:
    scene = Scene()
    scene.ask()
    scene.clock.run()
    for _ in range(5):
        scene.ask()
    scene.clock.run()
    assert len(scene.worker.frames) == 1
    scene.worker.answer()
    assert scene.worker.rows == 5


def test_several_workers_each_get_a_batch_and_the_one_that_worked_last_the_next() -> None:
    scene = Scene(workers=3, max_batch=1)
    for _ in range(3):
        scene.ask()
    scene.clock.run()
    assert [len(worker.frames) for worker in scene.workers] == [1, 1, 1]
    for worker in (scene.workers[2], scene.workers[0], scene.workers[1]):
        worker.answer()
    scene.ask()
    scene.clock.run()
    assert [len(worker.frames) for worker in scene.workers] == [1, 2, 1]


def test_a_poisoned_batch_is_halved_until_the_poison_fails_alone() -> None:
    scene = Scene()
    waiters = [scene.ask(value=b"poisoned" if place == 5 else bytes(8)) for place in range(16)]
    scene.clock.run()
    while not all(waiter.ended for waiter in waiters):
        worker = scene.worker
        worker.refuse() if b"poisoned" in worker.bodies[-1] else worker.answer()
    assert statuses(waiters) == [400 if place == 5 else 200 for place in range(16)]
    assert len(scene.worker.frames) == 9  # two a level, and the whole


@pytest.mark.parametrize(("why", "status"), [("crash", 500), ("memory", 503)])
def test_a_request_that_kills_workers_fails_alone(why: Loss, status: int) -> None:
    scene = Scene()
    waiters = [scene.ask(value=b"poisoned" if place == 5 else bytes(8)) for place in range(16)]
    scene.clock.run()
    while not all(waiter.ended for waiter in waiters):
        if b"poisoned" in scene.worker.bodies[-1]:
            scene.dispatcher.leave(scene.worker, why)
            scene.dispatcher.join(scene.worker)
        else:
            scene.worker.answer()
    assert statuses(waiters) == [status if place == 5 else 200 for place in range(16)]
    error = waiters[5].error
    assert error is not None
    assert {"crash": "died twice", "memory": "more memory"}[why] in error.message


def test_a_request_that_hangs_is_given_up_at_its_deadline_and_the_others_of_its_batch_are_answered() -> None:
    scene = Scene(deadline_ms=8000)
    for _ in range(30):  # the cost is known, so that hanging is told from working long before the deadline
        scene.ask()
        scene.clock.run(0.01)
        scene.worker.answer()
    waiters = [scene.ask(value=b"poisoned" if place == 5 else bytes(8)) for place in range(8)]
    for _ in range(100):
        scene.clock.run(0.1)
        if scene.worker not in scene.dispatcher._out:
            scene.dispatcher.join(scene.worker)
            scene.clock.run()
        if scene.worker in scene.dispatcher._out and b"poisoned" not in scene.worker.bodies[-1]:
            scene.worker.answer()
    assert statuses(waiters) == [504 if place == 5 else 200 for place in range(8)]
    assert set(scene.worker.killed) == {"deadline"}
    assert waiters[5].seconds <= 8.1


def test_a_single_request_that_hangs_costs_the_worker_no_sooner_than_the_service_lets_it() -> None:
    scene = Scene(deadline_ms=1000)
    waiter = scene.ask(seconds=0.05)
    scene.clock.run(0.1)
    assert (waiter.status, scene.worker.killed) == (504, [])
    scene.clock.run(1)
    assert scene.worker.killed == ["deadline"]


def test_a_batch_tells_the_worker_how_long_it_may_take() -> None:
    scene = Scene(deadline_ms=1500)
    scene.ask()
    scene.clock.run()
    assert scene.worker.frames[0]["seconds"] == 1.5


def test_a_request_waits_no_longer_than_its_client_or_the_service_says() -> None:
    scene = Scene(workers=0, deadline_ms=1000)
    short, long = scene.ask(seconds=0.2), scene.ask(seconds=60.0)
    scene.clock.run(0.5)
    assert statuses([short, long]) == [504, 0]
    assert short.seconds == pytest.approx(0.2, abs=0.011)
    scene.clock.run(0.6)
    assert long.status == 504
    assert long.seconds == pytest.approx(1.0, abs=0.011)
    assert scene.metrics.rejections["late"] == 2
    assert scene.dispatcher.queued == 0


def test_a_late_answer_reaches_nobody_and_harms_nobody() -> None:
    scene = Scene()
    waiter = scene.ask(seconds=0.1)
    scene.clock.run(0.2)
    scene.worker.answer()
    assert waiter.status == 504
    again = scene.ask()
    scene.clock.run()
    scene.worker.answer()
    assert again.status == 200


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    scene = Scene(queue=2)
    for _ in range(20):
        scene.ask()
        scene.clock.run(1.5)
        scene.worker.answer()
    scene.ask()
    scene.clock.run()
    waiters = [scene.ask() for _ in range(3)]
    assert statuses(waiters) == [0, 0, 503]
    error = waiters[2].error
    assert error is not None
    assert error.retry_seconds >= 2
    assert scene.metrics.rejections["queue"] == 1


def test_bytes_that_wait_are_bounded_too_but_one_request_always_may() -> None:
    scene = Scene(workers=0, max_body_bytes=1000)
    assert statuses([scene.ask(rows=10_000), scene.ask()]) == [0, 503]
    scene = Scene(workers=0, max_body_bytes=1000)
    assert statuses([scene.ask(rows=100) for _ in range(6)]) == [0, 0, 0, 0, 0, 503]


def test_what_cannot_be_answered_in_time_is_refused_at_once() -> None:
    scene = Scene(max_batch=1)
    for _ in range(20):
        scene.ask()
        scene.clock.run(0.1)
        scene.worker.answer()
    first = scene.ask()
    scene.clock.run()
    second, hasty = scene.ask(), scene.ask(seconds=0.25)
    assert statuses([first, second, hasty]) == [0, 0, 503]
    assert scene.metrics.rejections["deadline"] == 1


def test_who_finds_nobody_before_him_is_never_refused() -> None:
    scene = Scene(deadline_ms=1000)
    scene.dispatcher._queue.learn(scene.dispatcher._queue.lane(KIND), 1, 100.0)
    waiter = scene.ask()
    scene.clock.run()
    scene.worker.answer()
    assert waiter.status == 200


def test_a_client_that_goes_leaves_the_queue_at_once() -> None:
    scene = Scene(workers=0)
    gone, stays = scene.ask(), scene.ask()
    assert gone.job is not None
    scene.dispatcher.forget(gone.job)
    scene.dispatcher.forget(gone.job)
    assert scene.dispatcher.queued == 1
    scene.dispatcher.join(scene_worker := Scene().worker)
    assert scene_worker.rows == 1
    assert stays.status == 0
    assert gone.status == 0


def test_a_client_that_goes_while_its_batch_is_halved_is_not_asked_for_again() -> None:
    scene = Scene()
    waiters = [scene.ask() for _ in range(2)]
    scene.clock.run()
    assert waiters[1].job is not None
    scene.dispatcher.forget(waiters[1].job)
    scene.worker.refuse()
    scene.worker.answer()
    assert statuses(waiters) == [200, 0]
    assert len(scene.worker.frames) == 2


def ask_for_a_stream(scene: Scene) -> Waiter:
    waiter = Waiter(scene.clock)
    waiter.job = scene.dispatcher.submit(Call(STREAM, 1, (bytes(8),)), waiter)
    scene.clock.run()
    return waiter


def test_parts_are_handed_on_and_the_result_ends_them() -> None:
    scene = Scene()
    waiter, worker = ask_for_a_stream(scene), scene.worker
    assert worker.frames[0]["stream"] is True
    assert worker.frames[0]["inputs"][0]["shape"] == [1, 1]
    for _ in range(2):
        scene.dispatcher.part(worker, Part(id=1, outputs=()), memoryview(b""))
    scene.dispatcher.finished(worker, Result(id=1, outputs=()), memoryview(b""))
    assert (len(waiter.parts), waiter.outputs) == (2, [])


def test_a_part_that_nobody_asked_for_is_against_the_protocol() -> None:
    scene = Scene()
    with pytest.raises(FrameError):
        scene.dispatcher.part(scene.worker, Part(id=1, outputs=()), memoryview(b""))
    scene.ask()
    scene.clock.run()
    with pytest.raises(FrameError):
        scene.dispatcher.part(scene.worker, Part(id=1, outputs=()), memoryview(b""))


def test_every_part_gives_a_stream_its_time_anew() -> None:
    scene = Scene(deadline_ms=1000)
    waiter, worker = ask_for_a_stream(scene), scene.worker
    for _ in range(5):
        scene.clock.run(0.8)
        scene.dispatcher.part(worker, Part(id=1, outputs=()), memoryview(b""))
    assert (waiter.status, worker.killed) == (0, [])
    scene.clock.run(1.2)
    assert (waiter.status, worker.killed) == (504, ["deadline"])


def test_a_stream_that_has_begun_is_not_begun_again_when_its_worker_dies() -> None:
    scene = Scene(workers=2)
    waiter = ask_for_a_stream(scene)
    worker = next(worker for worker in scene.workers if worker.frames)
    scene.dispatcher.part(worker, Part(id=1, outputs=()), memoryview(b""))
    scene.dispatcher.leave(worker)
    assert waiter.status == 500
    assert sum(len(worker.frames) for worker in scene.workers) == 1


def test_a_worker_is_told_when_nobody_reads_its_stream_any_more() -> None:
    scene = Scene()
    waiter = ask_for_a_stream(scene)
    assert waiter.job is not None
    scene.dispatcher.forget(waiter.job)
    assert scene.worker.frames[-1] == {"kind": "cancel", "id": 1}


def test_a_worker_waits_for_a_client_that_reads_slowly_but_not_for_ever() -> None:
    scene = Scene(deadline_ms=1000)
    waiter = ask_for_a_stream(scene)
    assert waiter.job is not None
    scene.dispatcher.hold(waiter.job, on=True)
    assert scene.worker.held
    scene.dispatcher.hold(waiter.job, on=False)
    assert not scene.worker.held
    scene.dispatcher.hold(waiter.job, on=True)
    scene.clock.run(1.5)
    assert (waiter.status, scene.worker.held, scene.worker.killed) == (504, False, [])
    assert scene.worker.frames[-1]["kind"] == "cancel"


def test_a_streamed_call_has_its_whole_shape() -> None:
    call = streamed(Call(KIND, 3, (bytes(24),)))
    assert call.kind.tensors[0].tail == (3, 1)
    assert (call.kind.alone, call.kind.stream, call.rows) == (True, True, 1)
