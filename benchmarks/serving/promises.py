"""What was promised of serving: every measure with its limit, and how it follows from the samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.measures import MEGABYTE, Measure
from benchmarks.results import Results

from . import words
from .cases import LR, NOOP, RF, RF_ONNX, ROW, Case
from .peers import EVERYONE, bare, kserve, mlserver, tiffin

MICRO, MILLI = 1e-6, 1e-3
Figure = Callable[[Results], float]
BUSY, FULL = words.closed(16), words.closed(64)


def mine(what: str, unit: float = 1.0) -> Figure:
    """Give tiffin's own figure."""
    return lambda results: results.median(what, tiffin.NAME) / unit


def at(case: Case, load: str, figure: str, unit: float = 1.0) -> Figure:
    """Give tiffin's own figure of a load."""
    return mine(words.sample(case, load, figure), unit)


def others(results: Results, what: str, names: Sequence[str] = ()) -> list[float]:
    """Give every peer's median; raises KeyError where no peer has one. The bare server is no peer."""
    peers = [peer.who for peer in EVERYONE if peer.name in names or (not names and peer.name not in NO_PEERS)]
    found = [results.median(what, who) for who in peers if results.has(what, who)]
    if not found:
        raise KeyError(what)
    return found


NO_PEERS = (tiffin.NAME, bare.NAME, "uvicorn")
"""uvicorn alone is the floor: it checks nothing and does nothing but this."""


def cheaper(results: Results) -> float:
    """Tell how many times less CPU a request takes than with the best server of the same protocol."""
    what = words.sample(ROW[LR], BUSY, words.CPU)
    return min(others(results, what, (mlserver.NAME, kserve.NAME))) / results.median(what, tiffin.NAME)


def more(case: Case) -> Figure:
    """Tell how many times more requests a second are answered than by the best peer with the forest."""
    load, what = words.sample(case, FULL, words.RATE), words.sample(ROW[RF], FULL, words.RATE)
    return lambda results: results.median(load, tiffin.NAME) / max(others(results, what))


def sooner(case: Case, load: str) -> Figure:
    """Tell the median latency as a part of the best peer's."""
    what = words.sample(case, load, words.P50)
    return lambda results: results.median(what, tiffin.NAME) / min(others(results, what))


def beside_bare(results: Results) -> float:
    """Tell how many times more requests the bare front and worker answer."""
    what = words.sample(ROW[NOOP], BUSY, words.RATE)
    return results.median(what, f"{bare.NAME}, {bare.PAIR}") / results.median(what, tiffin.NAME)


def above_model(model: str) -> Figure:
    """Tell by how much the median latency of one client exceeds the model's own predict, in milliseconds."""

    def over(results: Results) -> float:
        whole = results.median(words.sample(ROW[model], words.closed(1), words.P50), tiffin.NAME)
        return (whole - results.median(words.of_model(words.PREDICT, model), words.PREDICT)) / MILLI

    return over


def _ready(model: str) -> Figure:
    return mine(words.of_model(words.CONTAINER, model))


def _above_import(results: Results) -> float:
    return _ready(LR)(results) - results.median(words.IMPORT, words.IMPORT)


def _percent(what: str) -> Figure:
    return lambda results: results.median(what, tiffin.NAME) * 100


_MOST, _HALF = words.opened(110), 0.5

PROMISES: tuple[Measure, ...] = (
    Measure("no-op, c=16: CPU of the front a request", 40, "µs", at(ROW[NOOP], BUSY, words.FRONT, MICRO)),
    Measure("no-op, c=16: CPU of the worker a request", 12, "µs", at(ROW[NOOP], BUSY, words.REST, MICRO)),
    Measure("LogisticRegression, c=16: CPU of the front a request", 40, "µs", at(ROW[LR], BUSY, words.FRONT, MICRO)),
    Measure("no-op, c=16: req/s of the bare front and worker over tiffin's", 1.2, "times", beside_bare),
    Measure(
        "LogisticRegression, c=16: less CPU than the best of MLServer and KServe", 20, "times", cheaper, at_least=True
    ),
    Measure("RandomForest, c=64: req/s of the best peer's", 3, "times", more(ROW[RF]), at_least=True),
    Measure("RandomForest, c=64: p50, part of the best peer's", _HALF, "", sooner(ROW[RF], FULL)),
    Measure("RandomForest as ONNX, c=64: req/s of the best peer's", 15, "times", more(ROW[RF_ONNX]), at_least=True),
    Measure("no-op, c=1: p50 over the model's own", 0.3, "ms", above_model(NOOP)),
    Measure("LogisticRegression, c=1: p50 over the model's own", 0.3, "ms", above_model(LR)),
    Measure("LogisticRegression, c=1: p50, part of the best peer's", 1, "", sooner(ROW[LR], words.closed(1))),
    Measure("container with LogisticRegression ready, later than import and load", 0.2, "s", _above_import),
    Measure("container with an ONNX model ready", 0.5, "s", _ready("image")),
    Measure("idle", 0.2, "%", _percent(words.of_model(words.IDLE, LR))),
    Measure("memory of the front", 40, "MB", mine(words.of_model(words.FRONT_PSS, LR), MEGABYTE)),
    Measure("lost on SIGTERM", 0, "", mine(words.LOST)),
    Measure(
        "LogisticRegression at 110 %: goodput, part of the capacity",
        95,
        "%",
        _percent(words.sample(ROW[LR], _MOST, words.GOODPUT)),
        at_least=True,
    ),
    Measure("LogisticRegression at 110 %: p99 of what was accepted", 30, "s", at(ROW[LR], _MOST, words.P99)),
)
"""In the order of the page."""
