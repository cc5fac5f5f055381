from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.front.batching.batches import NOBODY, Job
from tiffin_serve.front.batching.queue import KEPT_LANES, Queue
from tiffin_serve.protocol.call import Call, CallKind, TensorKind

KIND = CallKind((TensorKind("x", "FP64", (1,)),))
FAR = 1000.0


def put(queue: Queue, rows: int = 1, kind: CallKind = KIND, arrived: float = 0.0, patience: float = FAR) -> Job:
    job = Job(Call(kind, rows, (bytes(8 * rows),)), NOBODY, arrived, arrived + patience, 8 * rows)
    queue.put(queue.lane(kind), job)
    return job


def take(queue: Queue, now: float = 0.0) -> list[Job]:
    lane = queue.first()
    assert lane is not None
    return list(queue.take(lane, now).jobs)


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from("ab")), min_size=1), st.integers(1, 12))
def test_every_job_leaves_once_in_order_of_its_kind_and_batches_keep_to_the_limit(
    asked: list[tuple[int, str]], limit: int
) -> None:
    queue, kinds = Queue(limit), {name: KIND._replace(parameters=name) for name in "ab"}
    jobs = [put(queue, rows, kinds[name], float(place)) for place, (rows, name) in enumerate(asked)]
    left: list[Job] = []
    while queue.calls:
        batch = take(queue)
        assert min(one.arrived for one in jobs if one not in left) == batch[0].arrived
        assert len({one.call.kind for one in batch}) == 1
        assert len(batch) == 1 or sum(one.call.rows for one in batch) <= limit
        left += batch
    for kind in kinds.values():
        of_kind = [one for one in jobs if one.call.kind == kind]
        assert [one for one in left if one.call.kind == kind] == of_kind
    assert (queue.calls, queue.bytes, queue.rows, queue.first()) == (0, 0, 0, None)


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from("abc"), st.booleans())), st.integers(1, 12))
def test_who_goes_is_dropped_and_what_waits_is_counted_right(asked: list[tuple[int, str, bool]], limit: int) -> None:
    queue, stay = Queue(limit), []
    for rows, name, goes in asked:
        job = put(queue, rows, KIND._replace(parameters=name), float(len(stay)))
        if goes:
            assert queue.drop(queue.lane(job.call.kind), job)
            assert not queue.drop(queue.lane(job.call.kind), job)
        else:
            stay.append(job)
    assert (queue.calls, queue.rows) == (len(stay), sum(job.call.rows for job in stay))
    assert queue.bytes == 8 * queue.rows
    left = []
    while queue.calls:
        left += take(queue)
    assert sorted(left, key=lambda job: job.arrived) == stay


def test_a_call_that_must_be_alone_is_alone() -> None:
    queue = Queue(64)
    for _ in range(3):
        put(queue, kind=KIND._replace(alone=True))
    assert [len(take(queue)) for _ in range(3)] == [1, 1, 1]


def test_a_request_of_more_rows_than_a_batch_leaves_whole_and_by_itself() -> None:
    queue = Queue(8)
    sizes = [3, 100, 3]
    for rows in sizes:
        put(queue, rows)
    assert [[job.call.rows for job in take(queue)] for _ in sizes] == [[3], [100], [3]]


def test_calls_of_other_shapes_outputs_or_parameters_never_share_a_batch() -> None:
    queue = Queue(64)
    kinds = [
        KIND,
        KIND._replace(outputs=("y",)),
        KIND._replace(parameters='{"k":1}'),
        CallKind((TensorKind("x", "FP64", (2,)),)),
        CallKind((TensorKind("x", "FP32", (1,)),)),
    ]
    for kind in kinds * 2:
        put(queue, kind=kind)
    batches = [take(queue) for _ in kinds]
    assert [[job.call.kind for job in batch] for batch in batches] == [[kind, kind] for kind in kinds]


def test_the_kind_with_less_time_goes_first_but_an_old_one_is_not_starved() -> None:
    queue, hasty = Queue(1), KIND._replace(parameters="hasty")
    put(queue, arrived=0.0)
    put(queue, kind=hasty, arrived=0.5, patience=0.2)
    assert take(queue, 0.5)[0].call.kind == hasty
    put(queue, kind=hasty, arrived=0.9, patience=0.2)
    assert take(queue, 1.0)[0].call.kind == KIND


def test_a_batch_ends_where_its_oldest_call_would_be_late() -> None:
    queue = Queue(64)
    lane = queue.lane(KIND)
    for rows in (1, 20, 40, 10) * 20:
        queue.learn(lane, rows, 0.01 + 0.001 * rows)
    for _ in range(40):
        put(queue, patience=0.03)
    assert 17 <= len(take(queue)) <= 22


def test_where_a_full_batch_waits_those_who_are_late_for_it_go_out_and_the_others_fill_it() -> None:
    queue = Queue(64, patience=1.0)
    lane = queue.lane(KIND)
    for rows in (1, 20, 64, 40) * 20:
        queue.learn(lane, rows, 0.01 + 0.001 * rows)
    late = [put(queue, patience=0.05) for _ in range(10)]
    good = [put(queue, patience=1.0) for _ in range(64)]
    taken = queue.take(lane, 0.0)
    assert taken.late == late
    assert list(taken.jobs) == good


def test_the_last_call_is_tried_whatever_it_is_said_to_cost() -> None:
    queue = Queue(64)
    queue.learn(queue.lane(KIND), 1, 100.0)
    late, last = put(queue, patience=1.0), put(queue, patience=1.0)
    lane = queue.first()
    assert lane is not None
    taken = queue.take(lane, 0.0)
    assert (taken.late, list(taken.jobs)) == ([late], [last])


def test_a_batch_is_no_larger_than_two_of_them_can_be_done_in_time() -> None:
    queue = Queue(64, patience=0.08)
    lane = queue.lane(KIND)
    for rows in (1, 20, 64, 40) * 20:
        queue.learn(lane, rows, 0.015 + 0.0005 * rows)
    assert 40 <= lane.most <= 44


def test_kinds_of_which_nothing_waits_are_forgotten_in_the_end() -> None:
    queue = Queue(64)
    waiting = put(queue, kind=KIND._replace(parameters="waits"))
    for number in range(1000):
        put(queue, kind=KIND._replace(parameters=str(number)), patience=0.5)
        take(queue)
    assert len(queue._lanes) <= KEPT_LANES + 2
    assert take(queue) == [waiting]


def test_only_calls_that_come_soon_after_answers_are_their_echo() -> None:
    queue = Queue(64)
    lane = queue.lane(KIND)
    for time in range(40):
        lane.echo.answered(8, time + 0.5)
        put(queue, arrived=time + 0.6)
    assert lane.echo.missing == 0
