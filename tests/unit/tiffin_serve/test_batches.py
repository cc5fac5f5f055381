from __future__ import annotations

import math
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.front.batching.batches import Batch, Job, after_loss, halves, hand_out
from tiffin_serve.front.batching.loss import Loss
from tiffin_serve.protocol.call import Call, CallKind, TensorKind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.frames import FrameError, Result, ResultTensor
from tiffin_serve.protocol.outputs import Output, as_json, split
from tiffin_serve.protocol.tensors import elements

KIND = CallKind((TensorKind("x", "FP64", (1,)),))


class Nobody:
    """A waiter that is only told apart from others."""

    gone = False

    def part(self, outputs: list[Output]) -> None:
        raise NotImplementedError

    def deliver(self, outputs: list[Output]) -> None:
        raise NotImplementedError

    def fail(self, error: RequestError) -> None:
        raise NotImplementedError


def job(rows: int = 1, kind: CallKind = KIND, arrived: float = 0.0) -> Job:
    return Job(Call(kind, rows, (bytes(8 * rows),)), Nobody(), arrived, arrived + 1)


@given(st.integers(1, 40), st.integers(0, 39))
def test_halving_isolates_the_bad_job_and_answers_all_others(size: int, bad: int) -> None:
    jobs = tuple(job(arrived=float(place)) for place in range(size))
    todo, answered, failed = [Batch(jobs)], set(), []
    while todo:
        batch = todo.pop()
        if all(one.arrived != bad for one in batch.jobs):
            answered |= {one.arrived for one in batch.jobs}
        elif parts := halves(batch):
            todo += parts
        else:
            failed += [one.arrived for one in batch.jobs]
    assert failed == ([float(bad)] if bad < size else [])
    assert answered | set(failed) == {float(place) for place in range(size)}


def test_a_lost_batch_is_sent_once_more_then_in_halves_then_not_at_all() -> None:
    (again,) = after_loss(Batch((job(), job())))
    assert again.lost == 1
    first, second = after_loss(again)
    assert (len(first.jobs), len(second.jobs)) == (1, 1)
    assert after_loss(first) == []


@pytest.mark.parametrize("why", ["deadline", "memory"])
def test_what_took_too_much_is_sent_in_halves_at_once_and_alone_once_more(why: Loss) -> None:
    first, second = after_loss(Batch((job(), job(), job())), why)
    assert (len(first.jobs), len(second.jobs)) == (1, 2)
    (alone,) = after_loss(Batch((job(),)), why)
    assert after_loss(alone, why) == []


@given(st.integers(1, 64), st.integers(0, 63), st.sampled_from(["crash", "deadline", "memory"]))
def test_a_job_that_kills_workers_costs_few_of_them_and_nobody_elses_answer(size: int, bad: int, why: Loss) -> None:
    jobs = tuple(job(arrived=float(place)) for place in range(size))
    todo, answered, failed, sent = [Batch(jobs)], set(), [], 0
    while todo:
        batch, sent = todo.pop(), sent + 1
        if all(one.arrived != bad for one in batch.jobs):
            answered |= {one.arrived for one in batch.jobs}
        elif parts := after_loss(batch, why):
            todo += parts
        else:
            failed += [one.arrived for one in batch.jobs]
    assert failed == ([float(bad)] if bad < size else [])
    assert len(answered) + len(failed) == size
    assert sent <= 2 * math.ceil(math.log2(size)) + 2


def result(shape: tuple[int, ...], values: list[float]) -> tuple[Result, memoryview]:
    body = struct.pack(f"<{len(values)}d", *values)
    return Result(id=1, outputs=(ResultTensor("y", "FP64", shape, len(body)),)), memoryview(body)


def test_each_job_gets_its_own_rows() -> None:
    shares = hand_out(*result((3, 2), [1, 2, 3, 4, 5, 6]), [job(1), job(2)])
    assert [(list(output.shape), as_json(output).data) for _, (output,) in shares] == [
        ([1, 2], [1.0, 2.0]),
        ([2, 2], [3.0, 4.0, 5.0, 6.0]),
    ]


@pytest.mark.parametrize(("shape", "values"), [((2,), [1, 2]), ((), [1]), ((3, 2), [1, 2, 3])])
def test_outputs_without_a_row_for_each_row_are_refused(shape: tuple[int, ...], values: list[float]) -> None:
    with pytest.raises(FrameError):
        hand_out(*result(shape, values), [job(1), job(2)])


def test_a_job_that_went_alone_gets_whatever_shape_came() -> None:
    ((_, (output,)),) = hand_out(*result((), [7]), [job(3)])
    assert (output.shape, as_json(output).data) == ((), [7.0])


def test_an_unknown_datatype_is_refused() -> None:
    answer = msgspec.structs.replace(result((1,), [1])[0], outputs=(ResultTensor("y", "COMPLEX", (1,), 8),))
    with pytest.raises(FrameError, match="unknown datatype"):
        hand_out(answer, memoryview(bytes(8)), [job()])


@given(st.lists(st.lists(st.binary(max_size=5), min_size=2, max_size=2), min_size=1, max_size=6), st.data())
def test_texts_are_cut_at_the_rows_of_each_job(rows: list[list[bytes]], data: st.DataObject) -> None:
    values = [value for row in rows for value in row]
    body = b"".join(struct.pack("<I", len(value)) + value for value in values)
    whole = Output("y", "BYTES", (len(rows), 2), memoryview(body))
    middle = data.draw(st.integers(0, len(rows)))
    first, second = split(whole, [middle, len(rows) - middle])
    assert list(elements(first.data)) + list(elements(second.data)) == values
    assert (first.shape, second.shape) == ((middle, 2), (len(rows) - middle, 2))
