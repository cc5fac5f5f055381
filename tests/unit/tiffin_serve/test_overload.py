"""What a front does under load, in simulated time: workers that cost `fixed + each * rows`, clients at random."""

from __future__ import annotations

import pytest

from tiffin_serve.protocol.errors import RequestError
from unit.tiffin_serve.simulated import Scene, Spends, Waiter, chances, percentile

FIXED, EACH, MOST = 0.015, 0.0005, 64
CAPACITY = MOST / (FIXED + EACH * MOST)
SECONDS = 6


def cost(rows: int) -> float:
    return FIXED + EACH * rows


def cheap(rows: int) -> float:
    return 0.0003 + 0.000003 * rows


def goodput(waiters: list[Waiter], deadline: float, capacity: float = CAPACITY) -> float:
    return sum(waiter.status == 200 and waiter.seconds <= deadline for waiter in waiters) / SECONDS / capacity


def times(waiters: list[Waiter]) -> list[float]:
    return [waiter.seconds for waiter in waiters if waiter.status == 200]


@pytest.mark.parametrize("load", [1.1, 2.0, 5.0])
@pytest.mark.parametrize("deadline", [0.12, 0.5])
def test_above_capacity_almost_all_of_it_is_answers_in_time(load: float, deadline: float) -> None:
    scene = Scene(cost=cost, max_batch=MOST, deadline_ms=1000 * deadline)
    waiters = scene.open_loop(load * CAPACITY, SECONDS, seed=1, patience=lambda: None)
    assert goodput(waiters, deadline) >= 0.95
    assert percentile(times(waiters), 0.99) <= deadline
    assert {waiter.status for waiter in waiters} <= {200, 503, 504}
    assert sum(waiter.status == 504 for waiter in waiters) <= 0.01 * len(waiters)


def test_first_come_first_served_without_refusal_would_answer_everybody_too_late() -> None:
    """The same load where deadlines are only looked at afterwards: the simulation tells the two apart."""
    scene = Scene(cost=cost, max_batch=MOST, deadline_ms=1_000_000, queue=10**6)
    waiters = scene.open_loop(1.5 * CAPACITY, SECONDS, seed=1, patience=lambda: None)
    assert goodput(waiters, 0.12) < 0.1


def test_below_capacity_nobody_is_refused() -> None:
    scene = Scene(cost=cost, max_batch=MOST, deadline_ms=150)
    waiters = scene.open_loop(0.8 * CAPACITY, SECONDS, seed=2, patience=lambda: None)
    assert {waiter.status for waiter in waiters} == {200}


def test_several_workers_are_filled_alike() -> None:
    scene = Scene(workers=4, cost=cost, max_batch=MOST, deadline_ms=200)
    waiters = scene.open_loop(1.1 * 4 * CAPACITY, SECONDS, seed=3, patience=lambda: None)
    assert goodput(waiters, 0.2, 4 * CAPACITY) >= 0.95


def test_clients_of_every_patience_are_answered_within_it_or_refused() -> None:
    patience = chances(4, 0.1, 0.2, None)
    scene = Scene(cost=cost, max_batch=MOST, deadline_ms=1000)
    waiters = scene.open_loop(1.2 * CAPACITY, SECONDS, seed=4, patience=lambda: next(patience))
    assert goodput(waiters, 1.0) >= 0.9
    assert sum(waiter.status == 504 for waiter in waiters) <= 0.1 * len(waiters)


def test_a_model_that_becomes_slower_costs_a_moment_not_the_service() -> None:
    slow = [1.0]
    scene = Scene(cost=lambda rows: slow[0] * cost(rows), max_batch=MOST, deadline_ms=500)
    scene.open_loop(0.8 * CAPACITY, SECONDS, seed=5, patience=lambda: None)
    slow[0] = 3.0
    waiters = scene.open_loop(0.8 * CAPACITY, SECONDS, seed=6, patience=lambda: None)
    assert goodput(waiters, 0.5, CAPACITY / 3) >= 0.9


@pytest.mark.parametrize("clients", [2, 16, 64])
def test_clients_that_come_back_at_once_are_waited_for_and_everybody_is_faster(clients: int) -> None:
    waiting, greedy = (Scene(cost=lambda rows: 0.015 + 0.00005 * rows, max_delay_ms=delay) for delay in (2.0, 0.0))
    patient, hasty = (scene.closed_loop(clients, SECONDS, think=0.0004) for scene in (waiting, greedy))
    assert len(patient) > 1.5 * len(hasty)
    assert percentile(times(patient), 0.5) < 0.7 * percentile(times(hasty), 0.5)


@pytest.mark.parametrize("delay", [0.0, 2.0, 50.0])
def test_one_client_never_waits(delay: float) -> None:
    scene = Scene(cost=cost, max_delay_ms=delay)
    waiters = scene.closed_loop(1, SECONDS, think=0.0004)
    assert percentile(times(waiters), 1.0) == pytest.approx(cost(1))


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_clients_that_come_by_chance_lose_little_by_waiting(load: float) -> None:
    means = []
    for delay in (0.0, 2.0):
        found = times(Scene(cost=cost, max_delay_ms=delay).open_loop(load * CAPACITY, SECONDS, 7, lambda: None))
        means.append(sum(found) / len(found))
    assert means[1] <= 1.03 * means[0]


def test_nobody_waits_longer_for_company_than_the_service_lets_him() -> None:
    scene = Scene(cost=lambda _: 0.1, max_delay_ms=20)
    scene.closed_loop(8, 5, think=0.001)
    first = [scene.ask() for _ in range(4)]
    scene.clock.run(0.01)
    others = [scene.ask() for _ in range(4)]  # they come while the first batch is out, and the first do not come back
    scene.clock.run(5)
    assert max(waiter.seconds for waiter in first) <= 0.1 + 1e-6
    assert max(waiter.seconds for waiter in others) <= 0.2 + 0.02 + 1e-6


@pytest.mark.parametrize("clients", [2, 4, 16])
def test_clients_of_a_cheap_model_that_come_back_soon_share_a_batch_and_are_no_slower(clients: int) -> None:
    waiting, greedy = (Scene(cost=cheap, max_delay_ms=delay) for delay in (2.0, 0.0))
    patient, hasty = (scene.closed_loop(clients, 2, think=0.0001) for scene in (waiting, greedy))
    assert len(waiting.worker.frames) < 0.75 * len(greedy.worker.frames) * len(patient) / len(hasty)
    assert percentile(times(patient), 0.5) <= percentile(times(hasty), 0.5)


@pytest.mark.parametrize("rate", [100, 500, 1000, 2000])
def test_clients_of_a_cheap_model_that_come_by_chance_hardly_wait_for_others_that_may_not_come(rate: int) -> None:
    means = []
    for delay in (0.0, 2.0):
        found = times(Scene(cost=cheap, max_delay_ms=delay).open_loop(rate, SECONDS, 7, lambda: None))
        means.append(sum(found) / len(found))
    assert means[1] <= 1.2 * means[0]


@pytest.mark.parametrize("load", [1.1, 1.5, 2.0])
@pytest.mark.parametrize("deadline", [0.02, 0.05, 0.25])
def test_a_front_that_spends_most_of_its_time_on_refusals_still_keeps_its_worker_busy(
    load: float, deadline: float
) -> None:
    """A forest behind a front that takes 30 us for an answer: without looking at the worker in the midst of a turn,
    and with refusals as dear as answers, a hundredth of the capacity was left at twice the load."""
    capacity = MOST / (0.0014 + 0.000026 * MOST)
    scene = Scene(cost=lambda rows: 0.0014 + 0.000026 * rows, max_batch=MOST, deadline_ms=1000 * deadline)
    waiters = scene.busy_front(load * capacity, 2, 1, Spends(answer=30e-6, refusal=15e-6))
    told = [waiter for waiter in waiters if waiter.status == 200]
    assert sum(waiter.seconds <= deadline for waiter in told) >= (0.95 if load < 2 else 0.93) * capacity * 2
    assert percentile([waiter.seconds for waiter in told], 0.99) <= deadline
    assert not scene.worker.killed


def test_what_resembles_the_refused_is_refused_unread_until_a_batch_leaves() -> None:
    scene = Scene(cost=lambda _: 0.1, max_batch=4, deadline_ms=300)
    for _ in range(3):
        scene.ask()
        scene.clock.run(0.2)
    assert scene.dispatcher.shut is None
    waiters = [scene.ask() for _ in range(40)]
    assert waiters[-1].status == 503
    with pytest.raises(RequestError, match="would take about"):
        scene.dispatcher.turn_away()
    with pytest.raises(RequestError, match=r"longer than the 0\.1 that"):
        scene.dispatcher.turn_away(0.1)
    scene.clock.run(0.11)
    assert scene.dispatcher.shut is None
    scene.dispatcher.turn_away()


def test_a_worker_that_has_answered_is_not_ended_by_a_front_that_was_too_busy_to_hear_it() -> None:
    scene = Scene(cost=lambda _: 0.01, deadline_ms=100)
    scene.worker.heard_late = True
    waiter = scene.ask()
    scene.clock.run()
    scene.clock.moment += 5  # the front did something else, and its timers come before what it reads
    scene.clock.run()
    assert not scene.worker.killed
    assert waiter.status
