"""`python -m benchmarks.pipelines`: measure pipelines beside their peers; `--write` puts it into docs/benchmarks.md.

Every tool has what it runs in before it is measured: its environment, its project, and for a first run nothing else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import machine
from benchmarks.command import timed
from benchmarks.page import figures_page
from benchmarks.results import Results
from benchmarks.serving.environments import environment, versions
from benchmarks.table import replaced

from . import words
from .mutations import mutate
from .ours import Ours
from .peers import PEERS, Peer

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
MARKS = ("<!-- pipelines: begin -->", "<!-- pipelines: end -->")
ROUNDS, AGAIN, CONTAINERS = 5, 3, 20


def main() -> None:
    """Measure everything, and print it."""
    options = _options()
    before = machine.load()
    results = Results(tell=lambda line: print(line, file=sys.stderr, flush=True), file=options.resume)
    said = []
    with tempfile.TemporaryDirectory(prefix="tiffin-pipelines-", dir=options.scratch) as scratch:
        ours = Ours(Path(scratch) / "home")
        results.turn("prepare", words.TIFFIN, ours.prepare)
        peers = {}
        for peer in () if options.alone else PEERS:
            programs = environment(options.cache, peer.package, peer.requirements)
            said.append(f"{peer.name} {versions(programs, [peer.package]).get(peer.package, '?')}")
            folder = Path(scratch) / peer.package
            results.turn(f"prepare {peer.name}", peer.name, partial(peer.prepare, folder, programs))
            peers[peer] = folder, programs
        for number in range(1 if options.quick else ROUNDS):
            results.turn(f"{number} {words.TIFFIN}", words.TIFFIN, partial(_three, ours, results))
            for peer, (folder, programs) in peers.items():
                results.turn(f"{number} {peer.name}", peer.name, partial(_peer, peer, folder, programs, results))
            results.turn(f"{number} steps", words.TIFFIN, partial(_steps, ours, results, number))
        results.turn("changes", words.TIFFIN, partial(_changes, results, Path(scratch) / "changed"))
        results.turn("containers", words.ALONE, partial(_containers, ours, results, Path(scratch) / "order"))
    load = f"load {before:.1f} before, {machine.load():.1f} after. {', '.join(said)}"
    text = figures_page(results, "benchmarks.pipelines", words.MEASURES, load)
    print(text)
    if options.write:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), text, MARKS))


def _three(ours: Ours, results: Results) -> None:
    ours.forget()
    results.add(words.FIRST, words.TIFFIN, timed(ours.run(ours.three)))
    for _ in range(AGAIN):
        results.add(words.AGAIN, words.TIFFIN, timed(ours.run(ours.three)))


def _peer(peer: Peer, folder: Path, programs: Path, results: Results) -> None:
    peer.forget(folder)
    results.add(words.FIRST, peer.name, timed(peer.command(folder, programs)))
    for _ in range(AGAIN):
        results.add(words.AGAIN, peer.name, timed(peer.command(folder, programs)))


def _steps(ours: Ours, results: Results, number: int) -> None:
    """What a step costs: many less one; what the pipeline says is known, and every step is done."""
    for what, folder in ((words.ONE, ours.one), (words.MANY, ours.chain)):
        ours.run(folder, "--until", "nothing").run()
        results.add(what, words.TIFFIN, timed(ours.run(folder, "--set", f"begin={number + 1}")))
    results.add(words.PLAN, words.TIFFIN, timed(ours.plan(ours.wide)))


def _containers(ours: Ours, results: Results, folder: Path) -> None:
    folder.mkdir()
    for seconds in ours.containers(folder, CONTAINERS):
        results.add(words.CONTAINER, words.ALONE, seconds)


def _changes(results: Results, folder: Path) -> None:
    count = mutate(folder, words.CHANGES)
    results.add(words.STEPS.format(words.CHANGES), words.TIFFIN, count.steps)
    results.add(words.KEPT, words.TIFFIN, count.kept)
    results.add(words.HITS, words.TIFFIN, count.false_hits)
    results.add(words.MISSES, words.TIFFIN, count.false_misses)
    results.add(words.BESIDE, words.TIFFIN, count.beside)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipelines", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep samples in a file, and go on from it")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {DOCUMENT.name}")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "tiffin-bench", help="the peers' homes")
    parser.add_argument("--scratch", default="/var/tmp", help="a folder with 1 GB to spare")  # noqa: S108 - its default
    return parser.parse_args()


if __name__ == "__main__":
    main()
