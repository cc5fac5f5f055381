"""`python -m benchmarks.scaling.live`: measure services of this machine; `--write` puts it into docs/benchmarks.md.

Needs root for docker, which is measured beside; without it, or with `--only`, that figure is left out.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.programs.docker import dockerd

from benchmarks import machine
from benchmarks.page import figures_page
from benchmarks.results import Results
from benchmarks.table import replaced

from . import figures, words
from .ground import Ground

DOCUMENT = Path(__file__).parents[3] / "docs" / "benchmarks.md"
MARKS = ("<!-- live: begin -->", "<!-- live: end -->")
ROUNDS = 3
WAKES = 20


def main() -> None:
    """Measure what is asked for, and print it."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    before = machine.load()
    results = Results(tell=lambda line: print(line, file=sys.stderr, flush=True), file=options.resume)
    with tempfile.TemporaryDirectory(prefix="tiffin-live-", dir=options.scratch) as scratch:
        ground = Ground(Path(scratch))
        with ground.kept():
            for name, turn in _turns(ground, results, options).items():
                if not options.only or name in options.only:
                    results.turn(name, name, turn)
    load = f"load {before:.1f} before, {machine.load():.1f} after"
    text = figures_page(results, "benchmarks.scaling.live", words.MEASURES, load)
    print(text)
    if options.write:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), text, MARKS))


def _turns(ground: Ground, results: Results, options: argparse.Namespace) -> Mapping[str, Callable[[], None]]:
    rounds = 1 if options.quick else ROUNDS
    wakes = 3 if options.quick else WAKES

    def two() -> None:
        for _ in range(rounds):
            for model in (words.SLEEPS, words.COMPUTES):
                figures.rates(ground, results, model)

    def by_docker() -> None:
        if os.geteuid() == 0:
            with dockerd() as docker:
                figures.restarted(ground, docker, results, 2 * rounds - 1)

    return {
        "two": two,
        "replaced": partial(figures.replaced, ground, results, 2 * rounds - 1),
        "docker": by_docker,
        "warm": partial(figures.woken, ground, results, wakes, warm=True),
        "cold": partial(figures.woken, ground, results, wakes, warm=False),
        "lost": partial(figures.lost, ground, results, 20 if options.quick else 1000),
        "rest": partial(figures.rest, ground, results, options.services),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling.live", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of each")
    names = ["two", "replaced", "docker", "warm", "cold", "lost", "rest"]
    parser.add_argument("--only", action="append", choices=names, metavar="WHAT", help=f"one of: {', '.join(names)}")
    parser.add_argument("--services", type=int, default=words.COUNT, help="how many rest")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep samples in a file, and go on from it")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {DOCUMENT.name}")
    parser.add_argument("--scratch", default="/var/tmp", help="a folder with 2 GB to spare")  # noqa: S108 - its default
    return parser.parse_args()


if __name__ == "__main__":
    main()
