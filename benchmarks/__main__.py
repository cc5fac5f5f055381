"""`python -m benchmarks`: measure, print the figures, and with `--write` put them into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import tempfile
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path

from . import machine, names, scale, share
from .page import Circumstances, page, runs_page
from .results import Results
from .rounds import Round, memory_turn, run_turn, size_turn
from .setting import Setting, setting
from .table import replaced

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
COLD, SMALL = 3, 5
"""How many rounds of builds and of runs there are; `--quick` asks for one of builds."""


def main() -> None:
    """Measure everything and print it."""
    options = _options()
    if options.scale:
        scale.main()
        return
    if os.geteuid() != 0:
        sys.exit("the peers need root: dockerd and buildah mount file systems")
    if options.share:
        share.main(Path(options.scratch), rounds=1 if options.quick else share.ROUNDS, page=options.write and DOCUMENT)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started and mounted is taken away
    before = machine.load()
    results = Results(tell=lambda line: print(line, file=sys.stderr, flush=True), file=options.resume)
    scratch = tempfile.TemporaryDirectory(prefix="tiffin-bench-", dir=options.scratch)
    wanted = [names.TIFFIN] if options.runs else options.only or names.BUILDERS
    with scratch as folder, setting(Path(folder), results, wanted) as made:
        measure(made, results, options)
    circumstances = _circumstances(f"load {before:.1f} before, {machine.load():.1f} after", made.versions)
    text = runs_page(results, circumstances) if options.runs else page(results, circumstances, wanted)
    print(text)
    if options.write and not options.runs:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), text))


def measure(made: Setting, results: Results, options: argparse.Namespace) -> None:
    """Play every round that is asked for."""
    wanted = options.only or names.BUILDERS
    runners = [runner for runner in (made.tiffin, made.uv) if runner.name in wanted]
    for number, runner in product(range(SMALL), runners):
        results.turn(f"run {number} {runner.name}", runner.name, partial(run_turn, made, results, runner, number))
    if options.runs:
        return
    rounds = 1 if options.quick else COLD
    alike = [builder for builder in made.alike if builder.name in wanted]
    for number, builder in product(range(rounds), alike):
        turn = f"round-{number}"
        results.turn(f"{turn} {builder.name}", builder.name, Round(made, builder, results, turn).play)
    for builder in made.servers:
        results.turn(f"once {builder.name}", builder.name, Round(made, builder, results, "once").play_shortly)
    for builder in [*alike, *made.servers]:
        results.turn(f"memory {builder.name}", builder.name, partial(memory_turn, made, results, builder))
    if names.TIFFIN in wanted:
        results.turn("sizes", names.TIFFIN, partial(size_turn, made, results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one round of builds; runs, which take seconds, are repeated all the same"
    )
    parser.add_argument("--runs", action="store_true", help="only how long running takes; prints its table")
    parser.add_argument(
        "--scale", action="store_true", help="only how tiffin grows with what it packs; no peers, no root"
    )
    parser.add_argument(
        "--share", action="store_true", help="only registries and containers: push, pull, starting, listing"
    )
    parser.add_argument(
        "--only", action="append", choices=names.BUILDERS, metavar="WHO", help=f"one of: {'; '.join(names.BUILDERS)}"
    )
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep samples in a file, and go on from it")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {DOCUMENT.name}")
    parser.add_argument("--scratch", default="/var/tmp", help="a folder on a disk with 15 GB to spare")  # noqa: S108 - its default
    return parser.parse_args()


def _circumstances(load: str, peers: dict[str, str]) -> Circumstances:
    programs = {
        "docker": ["/usr/sbin/dockerd", "--version"],
        "buildah": ["buildah", "--version"],
        "uv": [sys.executable, "-m", "uv", "--version"],
        "skopeo": ["skopeo", "--version"],
    }
    versions = {**{name: machine.version(*argv) for name, argv in programs.items()}, **peers}
    return Circumstances(
        command=shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        date=datetime.now(UTC).date().isoformat(),
        machine=machine.described(),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        load=load,
    )


if __name__ == "__main__":
    main()
