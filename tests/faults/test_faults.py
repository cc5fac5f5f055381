"""`kill -9` of any process at three hundred moments: nothing is damaged, nothing runs on, and the next call goes on.

A point chooses, by its number alone, what is done (build, pull, load, push, unpack, run, prune), the moment, and which
of the processes there are then is killed: the command, a keeper, bubblewrap, what runs in a container, a builder's
interpreter. `make test` has every fifteenth; `make test-faults` has them all.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.small import Downloads
from faults.family import Family, family
from faults.place import VERBS, Place
from faulty_registry import faulty_registry
from tiffin.engine.embedded.stage import STAGE

COUNT, SAMPLE = 300, 15
LATER = 1.2
"""Kills fall into this many times the time that a verb takes."""
DEADLINE_SECONDS = 60
LINGERS = ("unpack", "run", "run detached")
"""What a container may outlive: one whose worker is killed starts another."""


def chosen(number: int) -> list[pytest.MarkDecorator]:
    """Mark those that only `make test-faults` has."""
    return [] if number % SAMPLE == 0 else [pytest.mark.faults]


POINTS = [
    pytest.param(number, marks=chosen(number), id=f"{number}-{VERBS[number % len(VERBS)].name.replace(' ', '-')}")
    for number in range(COUNT)
]


@pytest.fixture(scope="module")
def place(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with faulty_registry() as registry:
        made = Place(top=tmp_path_factory.mktemp("faults"), downloads=downloads, registry=registry)
        made.prepare()
        yield made


@pytest.mark.parametrize("point", POINTS)
def test_whatever_is_killed_whenever_nothing_is_lost_and_the_next_call_goes_on(point: int, place: Place) -> None:
    verb, chance = VERBS[point % len(VERBS)], random.Random(point)  # noqa: S311 - to be had again, not a secret
    before = mounts(place.top)
    verb.forget(place)
    with family() as relatives:
        running = place.command(*verb.words(place))
        pause(running, chance.uniform(0, verb.seconds * LATER))
        kill(relatives, chance)
        end(running, lingers=verb.name in LINGERS)
        if verb.name == "run detached":
            remove_if_there(place)
        relatives.wait()
        place.check()
        assert mounts(place.top) == before
        verb.finish(place)
        relatives.wait()
    assert mounts(place.top) == before


def pause(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for a moment, or until the process has ended by itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def kill(relatives: Family, chance: random.Random) -> None:
    """Kill anybody who runs at this moment."""
    if there := relatives.alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(there), signal.SIGKILL)


def end(process: subprocess.Popen[bytes], *, lingers: bool) -> None:
    """See a command end that lost one of its processes; one whose container goes on is killed too."""
    due = time.monotonic() + DEADLINE_SECONDS
    while process.poll() is None:
        if lingers and time.monotonic() > due - DEADLINE_SECONDS + 2:
            process.kill()
        assert time.monotonic() < due, "it neither ends nor goes on"
        pause(process, 0.05)


def remove_if_there(place: Place) -> None:
    """Remove the container that went on."""
    removing = place.command("rm", "--force", "k")
    assert removing.wait(DEADLINE_SECONDS) in {0, 4}


def mounts(folder: Path) -> list[str]:
    """What is mounted in this folder, or over the place where a container is made; others on this machine mount too."""
    found = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in found if point == STAGE or point.startswith(f"{folder}/")]
