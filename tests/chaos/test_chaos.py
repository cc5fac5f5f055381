"""A hundred thousand requests while everything happens to a service that can: `make test-chaos`.

Nothing fails but what was in flight in a front that was killed, no connection is refused, and the service comes to what
is wanted. TIFFIN_CHAOS_SEED asks for another script, TIFFIN_CHAOS_REQUESTS and TIFFIN_CHAOS_RATE for another number of
requests and another pace; TIFFIN_CHAOS_WRITE puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.table import replaced

from chaos.place import Place, prepare
from chaos.run import Run
from chaos.script import Kind
from chaos.told import summary, table
from end_to_end.small import Downloads, download
from programs.client import Client
from programs.docker import dockerd

pytestmark = pytest.mark.chaos
SEED = int(os.environ.get("TIFFIN_CHAOS_SEED", "1"))
REQUESTS = int(os.environ.get("TIFFIN_CHAOS_REQUESTS", "100000"))
RATE = float(os.environ.get("TIFFIN_CHAOS_RATE", "400"))
DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
MARKS = "<!-- chaos: begin -->", "<!-- chaos: end -->"


@pytest.fixture(scope="module")
def downloads(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Downloads:
    return download(home, tmp_path_factory.mktemp("downloads") / "small")


@pytest.fixture(scope="module")
def docker() -> Iterator[Client | None]:
    """A docker that services can be moved to, where there may be one."""
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        yield None
        return
    with dockerd() as client:
        yield client


@pytest.fixture(scope="module")
def place(downloads: Downloads, docker: Client | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(*prepare(downloads, tmp_path_factory.mktemp("chaos")), docker)
    yield made
    made.end()


def test_whatever_happens_no_request_fails_and_the_service_comes_to_what_is_wanted(
    place: Place, tmp_path: Path
) -> None:
    print(f"\nTIFFIN_CHAOS_SEED={SEED}")  # noqa: T201 - what `make test-chaos` is asked for
    run = Run(place, SEED, say=lambda line: print(line, flush=True))  # noqa: T201 - as above
    told = run.play(tmp_path, rate=RATE, enough=lambda sent, _, moments: sent >= REQUESTS and moments >= len(Kind))
    text = f"{summary(told)}\n\n{table(told)}"
    print(text)  # noqa: T201 - as above
    assert not told.miscounted(), told.account
    assert told.account.refused == 0, told.account.failures
    assert told.unexplained() == []
    if "TIFFIN_CHAOS_WRITE" in os.environ:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), text, MARKS))


def test_a_supervisor_killed_at_any_step_of_a_rollout_changes_nothing_in_the_end(place: Place) -> None:
    run, every = Run(place, SEED), int(os.environ.get("TIFFIN_CHAOS_EVERY", "3"))
    last = next(step for step in itertools.count(1, every) if not run.roll_out_over(step))
    print(f"\nkilled at every step of {every} until {last}, which came after the rollout")  # noqa: T201 - as above
