"""What is measured of pipelines, and what was promised."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measures import Measure
from benchmarks.results import Results

from .ours import CHAIN, PLANNED

TIFFIN, ALONE = "tiffin", "its container alone"
FIRST, AGAIN = "three steps, first run, s", "three steps, unchanged, s"
ONE, MANY = "one step that does nothing, s", f"{CHAIN} such steps in a chain, s"
CONTAINER = "started, ended, removed, s"
CHANGES, STEPS = 1000, "steps looked at in {:,} changes"
KEPT, HITS, MISSES, BESIDE = (
    "of them kept",
    "kept, and would have given something else",
    "done again, and gave what they had given before",
    "done again for another file, which they have and do not use",
)
PLAN = f"a graph of {PLANNED:,} steps planned, s"


def _of(what: str) -> Callable[[Results], float]:
    return lambda results: results.median(what, TIFFIN)


def _added(results: Results) -> float:
    each = (results.median(MANY, TIFFIN) - results.median(ONE, TIFFIN)) / (CHAIN - 1)
    return 1000 * (each - results.median(CONTAINER, ALONE))


def _missed(results: Results) -> float:
    return 100 * results.median(MISSES, TIFFIN) / results.median(STEPS.format(CHANGES), TIFFIN)


MEASURES = (
    Measure("three trivial steps, first run", 0.5, "s", _of(FIRST)),
    Measure("three trivial steps, unchanged", 0.25, "s", _of(AGAIN)),
    Measure("added to a step's container", 20.0, "ms", _added),
    Measure(f"a graph of {PLANNED:,} steps planned", 1.0, "s", _of(PLAN)),
    Measure(f"false hits in {CHANGES:,} changes", 0.0, "", _of(HITS)),
    Measure(f"false misses in {CHANGES:,} changes", 1.0, "%", _missed),
)
