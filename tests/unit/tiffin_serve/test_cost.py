from __future__ import annotations

import random

import pytest

from tiffin_serve.front.batching.cost import Cost, Echo


def learned(fixed: float, each: float, sizes: list[int], cost: Cost | None = None) -> Cost:
    cost = cost or Cost()
    for rows in sizes:
        cost.learn(rows, fixed + each * rows)
    return cost


def sizes(count: int, most: int = 64, seed: int = 1) -> list[int]:
    chance = random.Random(seed)  # noqa: S311 - repeatable chance is what a test wants
    return [chance.randint(1, most) for _ in range(count)]


@pytest.mark.parametrize(("fixed", "each"), [(0.015, 0.0005), (0.0003, 0.0), (0.0, 0.01)])
def test_what_batches_of_many_sizes_cost_is_found(fixed: float, each: float) -> None:
    cost = learned(fixed, each, sizes(200))
    for rows in (1, 10, 64):
        assert cost.expect(rows) == pytest.approx(fixed + each * rows, rel=0.05)


def test_noise_of_a_fifth_does_not_mislead() -> None:
    chance, cost = random.Random(2), Cost()  # noqa: S311 - as above
    for rows in sizes(500):
        cost.learn(rows, (0.01 + 0.001 * rows) * chance.uniform(0.8, 1.2))
    assert cost.expect(64) == pytest.approx(0.074, rel=0.1)
    assert cost.expect(1) == pytest.approx(0.011, rel=0.5)


def test_nothing_is_expected_of_what_was_never_seen() -> None:
    assert not Cost().known
    assert Cost().expect(64) == 0


def test_a_long_time_of_equal_batches_forgets_nothing() -> None:
    cost = learned(0.015, 0.0005, sizes(200))
    learned(0.015, 0.0005, [64] * 5000, cost)
    assert cost.expect(1) == pytest.approx(0.0155, rel=0.1)
    assert cost.expect(64) == pytest.approx(0.047, rel=0.01)


def test_one_pause_hardly_counts() -> None:
    cost = learned(0.01, 0.0, sizes(100))
    cost.learn(8, 30.0)
    assert cost.expect(8) < 0.013


def test_a_model_that_stays_slow_is_believed() -> None:
    cost = learned(0.01, 0.0001, sizes(100))
    learned(1.0, 0.01, sizes(200, seed=3), cost)
    assert cost.expect(32) == pytest.approx(1.32, rel=0.1)


def test_a_cold_first_batch_is_soon_forgotten() -> None:
    cost = learned(0.01, 0.0, [1] * 11, learned(2.0, 0.0, [1]))
    assert cost.expect(1) < 0.02


def test_an_heir_expects_what_its_elders_cost_until_it_shows_otherwise() -> None:
    heir = learned(0.01, 0.001, sizes(100)).heir()
    assert heir.expect(10) == pytest.approx(0.02, rel=0.05)
    learned(0.5, 0.0, [1] * 40, heir)
    assert heir.expect(1) == pytest.approx(0.5, rel=0.2)


def test_costs_are_never_below_zero() -> None:
    cost = Cost()
    for rows in (1, 64, 1, 64, 1, 64):
        cost.learn(rows, 1.0 / rows)
    assert (cost.fixed >= 0, cost.each >= 0) == (True, True)


def test_clients_that_come_back_are_expected_and_counted_off() -> None:
    echo = Echo()
    for time in range(40):
        echo.answered(8, time + 0.5)
        echo.came += 8
    echo.answered(8, 100.5)
    assert echo.missing == pytest.approx(8, abs=0.1)
    echo.came += 1
    assert echo.missing == pytest.approx(7, abs=0.1)
