"""`python -m benchmarks.serving`: measure servers, print the figures; `--write` puts them into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from benchmarks import machine
from benchmarks.page import Circumstances
from benchmarks.results import Results
from benchmarks.table import replaced

from . import containers, words
from .cases import FILES
from .environments import environment, versions
from .page import BEGIN, END, page
from .peer import Peer
from .peers import EVERYONE, NAMES, tiffin, uvicorn
from .samples import read_samples
from .training import REQUIREMENTS, train
from .turns import Kitchen, Length, Turn

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
QUICK = Length(load=2.0, idle=2.0, connections=(1, 16), shares=())


def main() -> None:
    """Measure everything that is asked for, and print it."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    before = machine.load()
    results = Results(tell=lambda line: print(line, file=sys.stderr, flush=True), file=options.resume)
    peers, rounds = _peers(options), 1 if options.quick else options.rounds
    length = QUICK if options.quick else _length(options)
    until = monotonic() + 60 * options.minutes
    with TemporaryDirectory(prefix="tiffin-serving-", dir=options.cache) as scratch, suppress(KeyboardInterrupt):
        kitchen = _kitchen(options.cache, Path(scratch), results, length)
        for number in range(rounds):
            _round(kitchen, peers, number, options.model or list(FILES), until)
        if options.containers:
            results.turn("containers", words.CONTAINER, partial(containers.play, kitchen, max(rounds, 3)))
    text = page(results, _circumstances(options, before, peers, results), peers)
    print(text)
    if options.write:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), text, (BEGIN, END)))


def _length(options: argparse.Namespace) -> Length:
    return Length(load=options.seconds, idle=min(5.0, 5 * options.seconds), connections=options.connections)


def _kitchen(cache: Path, scratch: Path, results: Results, length: Length) -> Kitchen:
    artefacts = cache / "artefacts"
    train(environment(cache, "models", REQUIREMENTS) / "python", artefacts)
    samples = read_samples(artefacts)
    for model, seconds in samples.seconds.items():
        if not results.has(words.of_model(words.PREDICT, model), words.PREDICT):
            results.add(words.of_model(words.PREDICT, model), words.PREDICT, seconds)
    return Kitchen(artefacts, scratch, samples, results, length, lambda peer: _programs(cache, peer))


def _programs(cache: Path, peer: Peer) -> Path:
    return environment(cache, peer.name.replace(" ", "-"), peer.requirements)


def _round(kitchen: Kitchen, peers: Sequence[Peer], number: int, models: Sequence[str], until: float) -> None:
    """Let everyone have a turn with each model, so that what disturbs the machine disturbs all alike.

    After the first round, no model is begun when the time is over: all have as many turns with it.
    """
    for model in models:
        if number and monotonic() > until:
            kitchen.results.tell(f"the time is over: round {number} ends before {model}")
            return
        for peer in peers:
            if any(case.model == model for case in peer.cases):
                who = f"{peer.who} ({model})"
                kitchen.results.turn(f"round {number} {who}", who, Turn(kitchen, peer, model).play)


def _peers(options: argparse.Namespace) -> list[Peer]:
    wanted = options.only or ([tiffin.NAME, uvicorn.NAME] if options.quick else NAMES)
    return [peer for peer in EVERYONE if peer.name in wanted]


def _circumstances(
    options: argparse.Namespace, before: float, peers: Sequence[Peer], results: Results
) -> Circumstances:
    found: dict[str, str] = {}
    for peer in peers:
        names = [requirement.partition("==")[0].partition("[")[0] for requirement in peer.requirements]
        found.update(versions(_programs(options.cache, peer), names))
    played = max((len(values) for values in results.samples.values()), default=0)
    seconds = QUICK.load if options.quick else options.seconds
    said = f"a machine that others used, load {before:.1f} before and {machine.load():.1f} after"
    return Circumstances(
        command=shlex.join(["python", "-m", "benchmarks.serving", *sys.argv[1:]]),
        date=datetime.now(UTC).date().isoformat(),
        machine=machine.described(),
        versions=", ".join(f"{name} {version}" for name, version in sorted(found.items())),
        load=f"{said}; up to {played} rounds, {seconds:g} s a load (slow servers longer, wrk at least 1 s)",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 2 s a load: tiffin and uvicorn")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--model", action="append", choices=list(FILES), help="only these models")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds; 3 by default")
    parser.add_argument("--minutes", type=float, default=inf, help="begin no model anew after so many minutes")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load; 5 by default")
    parser.add_argument(
        "--connections", type=int, nargs="+", choices=words.CONNECTIONS, default=words.CONNECTIONS, metavar="C"
    )
    parser.add_argument("--containers", action="store_true", help="also build images and time their containers")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep samples in a file, and go on from it")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {DOCUMENT.name}")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("/var/tmp/bench-serve"),  # noqa: S108 - its default
        help="a folder on a disk with 5 GB to spare; environments stay in it",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
