"""What was promised, and whether it was reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .names import (
    BARE,
    BUILD,
    CHANGED,
    COLD,
    FIRST,
    LIVE,
    MEMORY,
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
class Target:
    """A promise: `measured` must be at most `limit`, or at least where `at_least` is set."""

    claim: str
    limit: float
    measured: float
    unit: str
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether the promise is kept."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def targets(results: Results) -> list[Target]:
    """Every promise that something was measured for."""
    return [*_faster(results), *_quick(results), *_small(results)]


def _faster(results: Results) -> Iterator[Target]:
    """How many times faster than docker, whose image counts once it is compressed: built and pushed."""
    promises = [
        ("every cache empty", COLD, PIP, 4.0),
        ("every cache empty", COLD, UV, 2.5),
        ("wheels seen before", SEEN, PIP, 10.0),
        ("wheels seen before", SEEN, UV, 5.0),
    ]
    for claim, phase, peer, times in promises:
        if results.has(f"{phase} {BUILD}", TIFFIN) and results.has(f"{phase} {PUSH}", peer):
            theirs = results.median(f"{phase} {BUILD}", peer) + results.median(f"{phase} {PUSH}", peer)
            ratio = theirs / results.median(f"{phase} {BUILD}", TIFFIN)
            yield Target(f"{claim}: faster than {peer}, built and pushed", times, ratio, "times", at_least=True)


def _quick(results: Results) -> Iterator[Target]:
    if results.has(f"{COLD} {RUN}", TIFFIN):
        limit, ours = (
            results.median(f"{COLD} {BUILD}", who) + results.median(f"{COLD} {RUN}", who) for who in (UV, TIFFIN)
        )
        yield Target(f"every cache empty, to the first prediction: no slower than {UV}", limit, ours, "s")
    if results.has(f"{NOTHING} {BUILD}", TIFFIN):
        yield Target("no change: build", 0.2, results.median(f"{NOTHING} {BUILD}", TIFFIN), "s")
    if results.has(f"{CHANGED} {FIRST}", TIFFIN):
        bare = results.median(BARE, BARE)
        for phase in (CHANGED, RETRAINED):
            yield Target(f"{phase}: live", 0.5, results.median(f"{phase} {LIVE}", TIFFIN), "s")
            first = results.median(f"{phase} {FIRST}", TIFFIN)
            yield Target(
                f"{phase}: first correct prediction, within 0.3 s of bare import and load", bare + 0.3, first, "s"
            )
        first = results.median(f"{RUN} {FIRST}", TIFFIN)
        yield Target("run: first correct prediction, within 0.3 s of bare import and load", bare + 0.3, first, "s")


def _small(results: Results) -> Iterator[Target]:
    for packages, limit in (("scikit-learn, no bytecode", 90), ("scikit-learn", 105)):
        if results.has(f"{SIZE}: {packages}", TIFFIN):
            size = results.median(f"{SIZE}: {packages}", TIFFIN) / MEGABYTE
            yield Target(f"image of {packages}, compressed", limit, size, "MB")
    if results.has(f"{MEMORY}, all together", TIFFIN):
        peak = results.median(f"{MEMORY}, all together", TIFFIN) / MEGABYTE
        yield Target("peak memory of a build, every process together", 300, peak, "MB")
