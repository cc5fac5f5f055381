"""Figures become tables: what is missing is a dash, what stands around them on the page stays."""

import pytest
from benchmarks import names
from benchmarks.measures import Measure, Outcome
from benchmarks.results import Results
from benchmarks.table import (
    BEGIN,
    END,
    build_table,
    markdown,
    measure_table,
    megabytes,
    replaced,
    run_table,
    seconds,
    size_table,
)


def test_a_table_has_a_row_a_line_and_figures_to_the_right() -> None:
    assert markdown(["", "a"], [["x", "1"]]) == "|  | a |\n| --- | ---: |\n| x | 1 |"


def test_seconds_have_as_many_digits_as_mean_something() -> None:
    assert [seconds(0.123), seconds(9.994), seconds(12.34)] == ["0.12", "9.99", "12.3"]


def test_bytes_are_shown_in_megabytes() -> None:
    assert megabytes(92_840_000) == "92.8"


def test_a_builder_that_pushes_shows_both_times_and_one_that_did_nothing_a_dash() -> None:
    results = Results()
    results.add(f"{names.COLD} {names.BUILD}", "a", 2.0)
    results.add(f"{names.COLD} {names.PUSH}", "a", 20.0)
    results.add(f"{names.COLD} {names.BUILD}", "b", 1.0)
    row = next(line for line in build_table(results, ["a", "b", "c"]).splitlines() if names.COLD in line)
    assert row == f"| {names.COLD} | 2.00 + 20.0 | 1.00 | - |"


def test_the_run_table_sets_every_engine_beside_the_bare_time() -> None:
    results = Results()
    results.add(names.BARE, names.BARE, 1.5)
    results.add(f"{names.RUN} {names.FIRST}", "a", 2.0)
    lines = run_table(results, ["a", "b"]).splitlines()
    assert "| run: first correct prediction | 2.00 | - |" in lines
    assert lines[-1] == "| bare import and load, no container | 1.50 | 1.50 |"


def test_a_target_says_whether_it_was_reached() -> None:
    missed = Outcome(Measure("build", 0.2, "s", lambda _: 0.31), 0.31)
    reached = Outcome(Measure("faster", 4, "times", lambda _: 5.234, at_least=True), 5.234)
    lines = measure_table([missed, reached]).splitlines()
    assert lines[2] == "| build | ≤ 0.2 s | 0.31 s | **no** |"
    assert lines[3] == "| faster | ≥ 4 times | 5.23 times | yes |"


def test_sizes_are_in_megabytes_and_layers_are_counted() -> None:
    results = Results()
    results.add(f"{names.SIZE}: all", "a", 92_840_000)
    results.add(names.LAYERS, "a", 17)
    assert size_table(results, ["a", "b"]).splitlines()[2:] == ["| size: all, MB | 92.8 | - |", "| layers | 17 | - |"]


def test_the_page_keeps_what_stands_around_the_figures() -> None:
    page = f"# Page\n{BEGIN}\nold\n{END}\nafter\n"
    once = replaced(page, "new")
    assert once == f"# Page\n{BEGIN}\nnew\n{END}\nafter\n"
    assert replaced(once, "new") == once


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        replaced("# Page\n", "new")
