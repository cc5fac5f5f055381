"""Samples are kept as they come, and whoever fails fails alone."""

from pathlib import Path

from benchmarks.results import Results


def failing() -> None:
    raise AssertionError("`program` exited with 1:\nmuch said\nthe last word\n")


def test_a_median_is_of_all_samples_and_counts_them() -> None:
    results = Results()
    for value in (3.0, 1.0, 2.0):
        results.add("build", "a", value)
    assert results.median("build", "a") == 2.0
    assert results.count("build", "a") == 3
    assert results.count("build", "b") == 0


def test_samples_are_told_as_they_come() -> None:
    told: list[str] = []
    Results(tell=told.append).add("build", "a", 1.23456)
    assert told == ["a: build: 1.235"]


def test_whoever_fails_is_named_with_the_last_words_of_its_program_and_takes_no_further_turn() -> None:
    results, taken = Results(), list[str]()
    results.turn("one a", "a", failing)
    results.turn("two a", "a", lambda: taken.append("a"))
    results.turn("one b", "b", lambda: taken.append("b"))
    assert results.failures == {"a": "the last word"}
    assert taken == ["b"]


def test_a_turn_that_fails_halfway_leaves_no_sample() -> None:
    results = Results()

    def halfway() -> None:
        results.add("build", "a", 1.0)
        failing()

    results.turn("one a", "a", halfway)
    assert not results.has("build", "a")


def test_what_was_measured_is_not_measured_again_with_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "samples.json"
    first, second = Results(file=file), list[float]()
    first.turn("one a", "a", lambda: second.append(first.add("build", "a", 1.5)))
    again = Results(file=file)
    again.turn("one a", "a", lambda: second.append(2.5))
    assert second == [1.5]
    assert again.median("build", "a") == 1.5


def test_a_peer_that_failed_has_another_try_with_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "samples.json"
    Results(file=file).turn("one a", "a", failing)
    again = Results(file=file)
    again.turn("one a", "a", lambda: None)
    assert again.failures == {}
