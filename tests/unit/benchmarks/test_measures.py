"""Promises are computed from medians, and only those that something was measured for."""

import pytest
from benchmarks import names
from benchmarks.measures import MEASURES, Measure, Outcome, outcomes
from benchmarks.results import Results


def test_nothing_is_promised_for_what_was_not_measured() -> None:
    assert list(outcomes(MEASURES, Results())) == []


def test_docker_counts_with_its_push_and_tiffin_without() -> None:
    results = Results()
    results.add(f"{names.COLD} {names.BUILD}", names.TIFFIN, 5.0)
    results.add(f"{names.COLD} {names.PUSH}", names.TIFFIN, 100.0)
    results.add(f"{names.COLD} {names.BUILD}", names.PIP, 10.0)
    results.add(f"{names.COLD} {names.PUSH}", names.PIP, 15.0)
    (outcome,) = outcomes(MEASURES, results)
    assert (outcome.value, outcome.measure.limit, outcome.reached) == (5.0, 5, True)


def test_a_peer_that_failed_takes_only_its_own_promise_away() -> None:
    results = Results()
    for who, size in ((names.TIFFIN, 40.0), (names.MLFLOW, 100.0)):
        results.add(f"{names.SIZE}: scikit-learn, pandas, xgboost", who, size)
    (outcome,) = outcomes(MEASURES, results)
    assert (outcome.value, outcome.reached) == (0.4, True)
    assert "mlflow" in outcome.measure.claim


def test_every_promise_is_told_once() -> None:
    assert len({measure.claim for measure in MEASURES}) == len(MEASURES)


@pytest.mark.parametrize(
    ("measured", "at_least", "reached"), [(0.2, False, True), (0.21, False, False), (4, True, True)]
)
def test_a_limit_itself_is_kept(measured: float, *, at_least: bool, reached: bool) -> None:
    limit = 4 if at_least else 0.2
    assert Outcome(Measure("claim", limit, "s", lambda _: measured, at_least), measured).reached is reached
