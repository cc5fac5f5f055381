"""What is measured of services, and what was promised."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measures import Measure
from benchmarks.results import Results

SLEEPS, COMPUTES, TINY = "sleeps", "computes", "tiny"
"""Models: one waits 10 ms without the GIL, one computes for 10 ms, one does nothing."""
ONE, TWO, ALONE = "one replica", "two replicas", "a container by `tiffin run`"
RATE = "requests a second, model that {}"
P99 = "p99 at half load, model that {}, ms"
RANDOM = "p99 at half load, at random, model that {}, ms"
TIFFIN, DOCKER = "tiffin", "docker --restart=always"
REPLACED, LOADED = "killed, until it answers again, s", "of that from the replica's start until it is ready, s"
WARM, COLD, COLD_LOAD = "woken from sleep, ms", "woken from nothing, ms", "of that until the model is loaded, ms"
SLEEPING = "PSS of the sleeping replica, MB"
LOST = "wake-ups whose request was lost"
WOKEN = "wake-ups"
CPU, MEMORY = "supervisor of {} services at rest, % of a core", "supervisor of {} services at rest, MB (PSS)"
HOLDERS, FRONTS, REPLICAS = "{} holders, MB (PSS)", "{} fronts, MB (PSS)", "{} replicas, MB (PSS)"
COUNT = 50


def _times(model: str) -> Callable[[Results], float]:
    what = RATE.format(model)
    return lambda results: results.median(what, TWO) / results.median(what, ONE)


def _added(model: str) -> Callable[[Results], float]:
    what = P99.format(model)
    return lambda results: results.median(what, TWO) - results.median(what, ALONE)


def _of(what: str, who: str = TIFFIN) -> Callable[[Results], float]:
    return lambda results: results.median(what, who)


def _less(what: str, part: str) -> Callable[[Results], float]:
    return lambda results: results.median(what, TIFFIN) - results.median(part, TIFFIN)


def _lost(results: Results) -> float:
    return sum(results.samples[LOST, TIFFIN])


MEASURES = (
    Measure("two workers behind one front, of one; a model that waits", 1.8, "", _times(SLEEPS), at_least=True),
    Measure("two workers behind one front, of one; a model that computes", 1.8, "", _times(COMPUTES), at_least=True),
    Measure("p99 added over a container at half load; a model that waits", 0.5, "ms", _added(SLEEPS)),
    Measure("p99 added over a container at half load; a model that computes", 0.5, "ms", _added(COMPUTES)),
    Measure("crashed replica replaced, without its load", 1.0, "s", _less(REPLACED, LOADED)),
    Measure("0 to 1, warm", 50.0, "ms", _of(WARM)),
    Measure("0 to 1, cold, without the load", 150.0, "ms", _less(COLD, COLD_LOAD)),
    Measure("lost in 1,000 wake-ups", 0.0, "", _lost),
    Measure(f"supervisor at rest with {COUNT} services", 1.0, "% of a core", _of(CPU.format(COUNT))),
    Measure(f"supervisor at rest with {COUNT} services", 80.0, "MB", _of(MEMORY.format(COUNT))),
)
