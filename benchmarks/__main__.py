"""`python -m benchmarks`: measure, print the figures, and with `--write` put them into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from . import machine, scale
from .page import Circumstances, page, runs_page
from .results import Results
from .rounds import build_round, memory_round, run_round, size_round
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
    before = machine.load()
    results = Results(tell=lambda line: print(line, file=sys.stderr, flush=True))
    scratch = tempfile.TemporaryDirectory(prefix="tiffin-bench-", dir=options.scratch)
    with scratch as folder, setting(Path(folder)) as made:
        measure(made, results, options)
    text = (runs_page if options.runs else page)(
        results, _circumstances(f"load {before:.1f} before, {machine.load():.1f} after")
    )
    print(text)
    if options.write and not options.runs:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), text))


def measure(made: Setting, results: Results, options: argparse.Namespace) -> None:
    """Play every round that is asked for."""
    for number in range(SMALL):
        run_round(made, results, number)
    if options.runs:
        return
    for number in range(1 if options.quick else COLD):
        build_round(made, results, number)
    memory_round(made, results)
    size_round(made, results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one round of builds; runs, which take seconds, are repeated all the same"
    )
    parser.add_argument("--runs", action="store_true", help="only how long running takes; prints its table")
    parser.add_argument(
        "--scale", action="store_true", help="only how tiffin grows with what it packs; no peers, no root"
    )
    parser.add_argument("--write", action="store_true", help=f"put the figures into {DOCUMENT.name}")
    parser.add_argument("--scratch", default="/var/tmp", help="a folder on a disk with 10 GB to spare")  # noqa: S108 - its default
    return parser.parse_args()


def _circumstances(load: str) -> Circumstances:
    programs = {
        "docker": ["/usr/sbin/dockerd", "--version"],
        "buildah": ["buildah", "--version"],
        "uv": [sys.executable, "-m", "uv", "--version"],
        "skopeo": ["skopeo", "--version"],
    }
    return Circumstances(
        command=shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        date=datetime.now(UTC).date().isoformat(),
        machine=machine.described(),
        versions=", ".join(f"{name} {machine.version(*argv)}" for name, argv in programs.items()),
        load=load,
    )


if __name__ == "__main__":
    main()
