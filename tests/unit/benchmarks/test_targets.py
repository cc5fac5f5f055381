"""Promises are computed from medians, and only those that something was measured for."""

import pytest
from benchmarks import names
from benchmarks.results import Results
from benchmarks.targets import Target, targets


def test_a_median_is_of_all_samples_and_counts_them() -> None:
    results = Results()
    for value in (3.0, 1.0, 2.0):
        results.add("build", "a", value)
    results.add("build", "b", 7.0)
    assert results.median("build", "a") == 2.0
    assert results.count("build") == 1
    assert results.count("never done") == 0


def test_samples_are_told_as_they_come() -> None:
    told: list[str] = []
    Results(tell=told.append).add("build", "a", 1.23456)
    assert told == ["a: build: 1.235"]


def test_nothing_is_promised_for_what_was_not_measured() -> None:
    assert targets(Results()) == []


def test_docker_counts_with_its_push_and_tiffin_without() -> None:
    results = Results()
    results.add(f"{names.COLD} {names.BUILD}", names.TIFFIN, 5.0)
    results.add(f"{names.COLD} {names.PUSH}", names.TIFFIN, 100.0)
    results.add(f"{names.COLD} {names.BUILD}", names.PIP, 10.0)
    results.add(f"{names.COLD} {names.PUSH}", names.PIP, 15.0)
    (target,) = targets(results)
    assert (target.measured, target.limit, target.reached) == (5.0, 4.0, True)


@pytest.mark.parametrize(
    ("measured", "at_least", "reached"), [(0.2, False, True), (0.21, False, False), (4, True, True)]
)
def test_a_limit_itself_is_kept(measured: float, *, at_least: bool, reached: bool) -> None:
    limit = 4 if at_least else 0.2
    assert Target("claim", limit, measured, "s", at_least).reached is reached
