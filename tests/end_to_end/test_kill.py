"""`kill -9` at any moment: what is there stays whole, nothing runs on, and the next call goes on from there."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest

from end_to_end.small import Downloads, check_store, environment, left_over, run_tiffin, tiffin, write_project
from tiffin.engine.embedded.stage import STAGE
from tiffin.packages.lock import FILENAME

SEED = 20
BUILD_MOMENTS, RUN_MOMENTS = 30, 8
DEADLINE_SECONDS = 30
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>

KILLED_BEFORE_A_CHANGE = """
import os, signal, sys

changes = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate"}
left = int(sys.argv.pop(1))

def hear(event, arguments):
    global left
    written = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if written or event in changes:
        left -= 1
        if left < 0:
            os.killpg(0, signal.SIGKILL)

sys.addaudithook(hear)
from tiffin.cli import main
main()
"""
"""A command line that dies before its n-th change to the disk, as Python's own audit events tell them."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A home with downloads and nothing else, the project, and a folder for temporary files."""

    home: Path
    project: Path
    temporary: Path

    def kill(self, moment: Moment, *arguments: str, python: tuple[str, ...] = ("-m", "tiffin")) -> int:
        """Run tiffin in a process group of its own, kill the group at a moment, return the exit status."""
        process = subprocess.Popen(
            [sys.executable, *python, *arguments],
            env=environment(self.home, TMPDIR=str(self.temporary), TIFFIN_PROGRESS="json"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        assert process.stderr
        with process.stderr as heard:
            moment(process, heard)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return process.returncode

    def build(self) -> str:
        """Build to the end and return the digest; nothing temporary may be left."""
        image = tiffin(self.home, "build", self.project, TMPDIR=str(self.temporary))
        assert left_over(self.home, self.project, self.temporary) == []
        return image.partition("@")[2]

    def check(self, digest: str) -> None:
        """Assert that what is there is whole."""
        assert set(check_store(self.home).values()) <= {digest}


Moment = Callable[[subprocess.Popen[bytes], BinaryIO], None]


def somewhere(chance: random.Random, events: int, seconds: float) -> Moment:
    """Choose a moment: some time after some line of progress, or after a silence."""
    count, pause = chance.randrange(events), chance.uniform(0, seconds)

    def wait(process: subprocess.Popen[bytes], heard: BinaryIO) -> None:
        for _ in range(count):
            if not select.select([heard], [], [], seconds)[0] or not heard.readline():
                break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause)

    return wait


def at_the_end(process: subprocess.Popen[bytes], heard: BinaryIO) -> None:
    """Wait until it has ended by itself."""
    heard.read()
    process.wait()


@pytest.fixture
def new_place(downloads: Downloads, tmp_path: Path) -> Callable[[], Place]:
    """Make places, each with an empty home."""

    def make() -> Place:
        top = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        place = Place(home=downloads.copy(top / "home"), project=top / "project", temporary=top / "temporary")
        place.temporary.mkdir()
        write_project(place.project)
        (place.project / FILENAME).write_bytes(downloads.lock.read_bytes())
        return place

    return make


def children() -> set[str]:
    """Give the processes whose parent this one is."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture
def descendants() -> Iterator[Callable[[], list[str]]]:
    """Become whom orphans fall to, so that none is missed; gives what still runs, and reaps what does not.

    Servers that other tests of this process left running for each other are theirs.
    """
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    before = children()

    def alive() -> list[str]:
        found = []
        for pid in children() - before:
            with contextlib.suppress(ChildProcessError, FileNotFoundError):
                if os.waitpid(int(pid), os.WNOHANG) == (0, 0):
                    found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        return found

    yield alive
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


def none(alive: Callable[[], list[str]]) -> None:
    """Wait until nothing runs any more."""
    due = time.monotonic() + DEADLINE_SECONDS
    while left := alive():
        assert time.monotonic() < due, f"these run on: {left}"
        time.sleep(0.005)


def mounts(folder: Path) -> list[str]:
    """What is mounted in this folder, or over the place where a container is made; others on this machine mount too."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point == STAGE or point.startswith(f"{folder}/")]


def test_a_build_that_is_killed_at_many_moments_leaves_a_valid_store_and_the_next_one_goes_on(
    downloads: Downloads, new_place: Callable[[], Place], descendants: Callable[[], list[str]], tmp_path: Path
) -> None:
    chance, before, killed, place = random.Random(SEED), mounts(tmp_path), 0, new_place()  # noqa: S311 - no secret
    while killed < BUILD_MOMENTS:
        if place.kill(somewhere(chance, 16, 0.5), "build", str(place.project)) == -signal.SIGKILL:
            killed += 1
            none(descendants)
            place.check(downloads.digest)
        else:
            assert place.build() == downloads.digest
            place = new_place()
    assert place.build() == downloads.digest
    assert mounts(tmp_path) == before


def test_a_build_that_is_killed_before_any_of_its_last_changes_to_the_disk_leaves_a_valid_store(
    downloads: Downloads, new_place: Callable[[], Place]
) -> None:
    place, changes = new_place(), 0
    assert place.build() == downloads.digest
    last = [place.home / "data" / "index.json", *(place.home / "cache" / "records" / "images").glob("?" * 64)]
    while True:
        for path in last:
            path.unlink(missing_ok=True)
        arguments = (str(changes), "build", str(place.project))
        if status := place.kill(at_the_end, *arguments, python=("-c", KILLED_BEFORE_A_CHANGE)):
            assert status == -signal.SIGKILL
            place.check(downloads.digest)
            assert place.build() == downloads.digest
            changes += 1
        else:
            break
    assert changes > 5, "it made fewer changes than a record and an index need"


def test_a_run_that_is_killed_at_many_moments_leaves_no_process_no_mount_and_a_name_that_can_be_freed(
    downloads: Downloads, new_place: Callable[[], Place], descendants: Callable[[], list[str]], tmp_path: Path
) -> None:
    chance, before, place, killed = random.Random(SEED), mounts(tmp_path), new_place(), 0  # noqa: S311 - no secret
    assert place.build() == downloads.digest
    while killed < RUN_MOMENTS:
        arguments = ("run", str(place.project), "--name", "k", "-p", "0")
        killed += place.kill(somewhere(chance, 8, 0.4), *arguments) == -signal.SIGKILL
        none(descendants)
        place.check(downloads.digest)
        assert json.loads(tiffin(place.home, "ps", "--json")) == []
        assert run_tiffin(place.home, "rm", "k").returncode in {0, 4}
    tiffin(place.home, "run", place.project, "-d", "--name", "k", "-p", "0")
    try:
        assert tiffin(place.home, "predict", "k", '["a b", "c"]') == '{"predictions":[2,1]}'
        assert left_over(place.home / "data", place.temporary) == []
    finally:
        tiffin(place.home, "rm", "-f", "k")
    none(descendants)
    assert mounts(tmp_path) == before
