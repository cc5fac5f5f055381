"""Sharing and starting: 2 GB to docker-registry and back beside skopeo, a killed push, a container's first word.

`python -m benchmarks --share` measures and prints tables; `--write` puts them into docs/benchmarks.md. It needs root,
Debian's docker.io, docker-registry, skopeo and busybox-static, 10 GB in /var/tmp, and ten minutes.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from tests.programs.docker import dockerd

from . import machine
from .measures import Measure, outcomes
from .names import TIFFIN
from .results import Results
from .starting import ANEW, CONTAINERS, DOCKER, FIRST_BYTE, LIST, RUNNING, first_bytes, lists
from .table import markdown, measure_table, replaced
from .transfers import AGAIN, FORGETS, KEEPS, LAYERS, PULLED, PUSHED, SKOPEO, Transfer, sent_again, write_image

ROUNDS = 5
MARKS = ("<!-- share: begin -->", "<!-- share: end -->")
MEGABYTE = 1_000_000
MILLISECOND = 0.001
CHUNK = 8 << 20
"""Bytes of a chunk, as registries' clients cut them."""
BLOBS = 4
"""On their way at a time when the push is killed."""


def part_of_skopeo(what: str) -> Callable[[Results], float]:
    """Tell tiffin's rate as a part of skopeo's."""
    return lambda results: results.median(what, TIFFIN) / results.median(what, SKOPEO)


def sooner(results: Results) -> float:
    """Tell how many times sooner tiffin's container says something than docker's."""
    return results.median(FIRST_BYTE, DOCKER) / results.median(FIRST_BYTE, TIFFIN)


def again(results: Results) -> float:
    """Tell how many megabytes a killed push sends again, a blob."""
    return results.median(AGAIN, KEEPS) / BLOBS / MEGABYTE


def milliseconds(what: str) -> Callable[[Results], float]:
    """Give tiffin's own time."""
    return lambda results: results.median(what, TIFFIN) / MILLISECOND


MEASURES = (
    Measure("push of 2 GB: part of skopeo's rate", 0.9, "", part_of_skopeo(PUSHED), at_least=True),
    Measure("pull of 2 GB: part of skopeo's rate", 0.9, "", part_of_skopeo(PULLED), at_least=True),
    Measure(f"{AGAIN}, a blob, {KEEPS}", CHUNK / MEGABYTE, "MB", again),
    Measure(f"{FIRST_BYTE}, warm", 120, "ms", milliseconds(FIRST_BYTE)),
    Measure(f"{FIRST_BYTE}, warm: sooner than docker run", 3, "times", sooner, at_least=True),
    Measure(f"{LIST} with {CONTAINERS} containers, {RUNNING} of them running", 150, "ms", milliseconds(LIST)),
)


def main(scratch: Path, *, rounds: int = ROUNDS, page: Path | Literal[False] = False) -> None:
    """Measure everything, print it, and put it into a page where one is given."""
    results = Results(tell=lambda line: print(line, file=sys.stderr, flush=True))
    before = machine.load()
    with tempfile.TemporaryDirectory(prefix="tiffin-share-", dir=scratch) as folder:
        tempfile.tempdir = folder  # registries and daemons keep what they have there too
        measure(results, Path(folder), rounds)
        tempfile.tempdir = None
    text = described(results, f"load {before:.1f} before, {machine.load():.1f} after")
    print(text)
    if page:
        page.write_text(replaced(page.read_text(), text, MARKS))


def measure(results: Results, scratch: Path, rounds: int) -> None:
    """Take turns; whoever fails is named, and the others go on."""
    home = scratch / "home"
    size = write_image(home, "share", LAYERS)
    for number in range(rounds):
        for who in (TIFFIN, SKOPEO) if number % 2 else (SKOPEO, TIFFIN):
            results.turn(f"move {number} {who}", who, partial(Transfer(scratch, home, size).play, results, who))
    results.turn("kill", AGAIN, lambda: sent_again(results, home))
    with dockerd() as docker:
        results.turn("start", FIRST_BYTE, lambda: first_bytes(results, home, docker))
    results.turn("list", LIST, lambda: lists(results, home))


def described(results: Results, load: str) -> str:
    """Write what was measured, and how."""
    programs = {"skopeo": ["skopeo", "--version"], "docker": ["/usr/sbin/dockerd", "--version"]}
    versions = ", ".join(f"{name} {machine.version(*argv)}" for name, argv in programs.items())
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    date = datetime.now(UTC).date().isoformat()
    return "\n\n".join(
        [
            f"`{command}`, {date}, on {machine.described()}; {versions}; {load}.",
            measure_table(list(outcomes(MEASURES, results))),
            f"Medians of {results.count(PUSHED, TIFFIN)}, in turns.",
            rates(results),
            f"{FORGETS[0].upper()}{FORGETS[1:]} of every upload that broke off, was sent "
            f"{results.median(AGAIN, FORGETS) / MEGABYTE:.0f} MB again." if results.has(AGAIN, FORGETS) else "",
            *(f"**{name}** was not measured: `{reason}`" for name, reason in results.failures.items()),
        ]
    )  # fmt: skip


def rates(results: Results) -> str:
    """Write how fast each moved the image, in megabytes a second, and how soon each started."""
    rows = [
        [f"{what}, MB/s", *(_cell(results, what, who, MEGABYTE) for who in (TIFFIN, SKOPEO)), "-"]
        for what in (PUSHED, PULLED)
    ]
    starts = [_cell(results, FIRST_BYTE, TIFFIN, MILLISECOND), "-", _cell(results, FIRST_BYTE, DOCKER, MILLISECOND)]
    anew = [_cell(results, FIRST_BYTE, ANEW, MILLISECOND), "-", "-"]
    own = [[f"{FIRST_BYTE}, ms", *starts], [f"{FIRST_BYTE}, decided anew, ms", *anew]]
    return markdown(["", TIFFIN, SKOPEO, DOCKER], [*rows, *own])


def _cell(results: Results, what: str, who: str, unit: float) -> str:
    return f"{results.median(what, who) / unit:.0f}" if results.has(what, who) else "-"
