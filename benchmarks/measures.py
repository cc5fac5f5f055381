"""What was promised: every measure with its limit in one table, and how it follows from the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .names import (
    BARE,
    BENTOML,
    BUILD,
    CHANGED,
    COLD,
    FIRST,
    LIVE,
    MEMORY,
    MLFLOW,
    NOTHING,
    PIP,
    PUSH,
    RETRAINED,
    RUN,
    SEEN,
    SIZE,
    TIFFIN,
    UV,
)
from .results import Results

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Measure:
    """A promise: what `of` finds is at most `limit`, or at least where `at_least` is set."""

    claim: str
    limit: float
    unit: str
    of: Callable[[Results], float]
    """Gives the figure; raises KeyError where something it needs was not measured."""
    at_least: bool = False


@dataclass(frozen=True)
class Outcome:
    """A measure and what was measured."""

    measure: Measure
    value: float

    @property
    def reached(self) -> bool:
        """Whether the promise is kept."""
        limit = self.measure.limit
        return self.value >= limit if self.measure.at_least else self.value <= limit


def outcomes(measures: Sequence[Measure], results: Results) -> Iterator[Outcome]:
    """Give what became of each promise; one for which something was not measured is left out."""
    for measure in measures:
        try:
            yield Outcome(measure, measure.of(results))
        except KeyError:
            continue


def faster(phase: str, peer: str) -> Callable[[Results], float]:
    """Tell how many times faster tiffin is than a peer, whose image counts once it is compressed: built and pushed."""

    def times(results: Results) -> float:
        theirs = results.median(f"{phase} {BUILD}", peer) + results.median(f"{phase} {PUSH}", peer)
        return theirs / results.median(f"{phase} {BUILD}", TIFFIN)

    return times


def smaller(peer: str) -> Callable[[Results], float]:
    """Tell tiffin's size as a part of a peer's, for the same model."""
    what = f"{SIZE}: scikit-learn, pandas, xgboost"
    return lambda results: results.median(what, TIFFIN) / results.median(what, peer)


def ours(what: str, unit: float = 1) -> Callable[[Results], float]:
    """Give tiffin's own figure."""
    return lambda results: results.median(what, TIFFIN) / unit


def above_bare(phase: str) -> Callable[[Results], float]:
    """Tell how much later the first correct prediction comes than a bare import and load."""
    return lambda results: results.median(f"{phase} {FIRST}", TIFFIN) - results.median(BARE, BARE)


def to_prediction(results: Results) -> float:
    """Tell tiffin's time from every cache empty to the first prediction as a part of docker's with uv."""
    mine, theirs = (
        results.median(f"{COLD} {BUILD}", who) + results.median(f"{COLD} {RUN}", who) for who in (TIFFIN, UV)
    )
    return mine / theirs


FASTER, PREDICTION = "faster than {}, built and pushed", "first correct prediction, later than bare import and load"

MEASURES: tuple[Measure, ...] = (
    Measure(f"{COLD}: {FASTER.format(PIP)}", 5, "times", faster(COLD, PIP), at_least=True),
    Measure(f"{COLD}: {FASTER.format(UV)}", 3, "times", faster(COLD, UV), at_least=True),
    Measure(f"wheels seen before: {FASTER.format(PIP)}", 12, "times", faster(SEEN, PIP), at_least=True),
    Measure(f"wheels seen before: {FASTER.format(UV)}", 6, "times", faster(SEEN, UV), at_least=True),
    Measure(f"{COLD}, to the first prediction: part of {UV}", 1, "", to_prediction),
    Measure(f"{NOTHING}: build", 0.15, "s", ours(f"{NOTHING} {BUILD}")),
    Measure(f"{CHANGED}: live", 0.5, "s", ours(f"{CHANGED} {LIVE}")),
    Measure(f"{CHANGED}: {PREDICTION}", 0.3, "s", above_bare(CHANGED)),
    Measure(f"{RETRAINED}: live", 0.5, "s", ours(f"{RETRAINED} {LIVE}")),
    Measure(f"{RETRAINED}: {PREDICTION}", 0.3, "s", above_bare(RETRAINED)),
    Measure(f"{RUN}: {PREDICTION}", 0.3, "s", above_bare(RUN)),
    Measure("image of scikit-learn, no bytecode", 90, "MB", ours(f"{SIZE}: scikit-learn, no bytecode", MEGABYTE)),
    Measure("image of scikit-learn", 105, "MB", ours(f"{SIZE}: scikit-learn", MEGABYTE)),
    Measure(f"image, part of {BENTOML}'s for the same model", 0.5, "", smaller(BENTOML)),
    Measure(f"image, part of {MLFLOW}'s for the same model", 0.5, "", smaller(MLFLOW)),
    Measure("peak memory of a build, every process together", 300, "MB", ours(f"{MEMORY}, all together", MEGABYTE)),
)
"""In the order of the page. Those of large inputs stand beside what measures them."""
