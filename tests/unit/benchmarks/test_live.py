"""Figures of services: what was promised follows from the samples, and the page has all of them."""

from __future__ import annotations

from benchmarks.measures import outcomes
from benchmarks.page import figures_page
from benchmarks.results import Results
from benchmarks.scaling.live import words
from benchmarks.scaling.live.__main__ import DOCUMENT, MARKS
from benchmarks.table import replaced


def measured() -> Results:
    results = Results()
    for model in (words.SLEEPS, words.COMPUTES):
        for who, rate, late in ((words.ONE, 90.0, 11.0), (words.TWO, 171.0, 11.2), (words.ALONE, 91.0, 10.9)):
            results.add(words.RATE.format(model), who, rate)
            results.add(words.P99.format(model), who, late)
    results.add(words.REPLACED, words.TIFFIN, 1.5)
    results.add(words.LOADED, words.TIFFIN, 0.4)
    results.add(words.LOST, words.TIFFIN, 0.0)
    return results


def test_promises_follow_from_samples() -> None:
    found = {outcome.measure.claim: outcome for outcome in outcomes(words.MEASURES, measured())}
    two = found["two workers behind one front, of one; a model that waits"]
    assert (two.value, two.reached) == (1.9, True)
    added = found["p99 added over a container at half load; a model that computes"]
    assert round(added.value, 3) == 0.3
    assert not found["crashed replica replaced, without its load"].reached
    assert found["lost in 1,000 wake-ups"].reached
    assert "0 to 1, warm" not in found


def test_the_page_has_every_figure_and_a_place_in_the_document() -> None:
    text = figures_page(measured(), "benchmarks.scaling.live", words.MEASURES, "load 0.1 before, 0.2 after")
    assert "| two workers behind one front, of one; a model that waits | ≥ 1.8 | 1.9 | yes |" in text
    assert all(what in text for what, _ in measured().samples)
    assert replaced(DOCUMENT.read_text(), text, MARKS).count("live: begin") == 1
