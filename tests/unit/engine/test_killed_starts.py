"""Whoever of a start is killed, and in whatever order: nobody of it runs on.

The worst moment is when bubblewrap has made its child, which waits to hear from it and hears nothing else but SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from contract.engine_fixtures import EmbeddedBench
from faults.family import Family, family
from programs.held_bubblewrap import HELD, held_bubblewrap
from programs.waiting import until

TOOL = """
import subprocess, sys
from pathlib import Path
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.tool import tool_argv

program = ["/bin/sh", "-c", "echo ready; sleep 600"]
done = subprocess.run(tool_argv([*map(Path, sys.argv[2:])], program, machine=Machine.here()))
sys.exit(done.returncode)
"""
CONTAINER = """
import sys
from pathlib import Path
from contract.engine_fixtures import EmbeddedBench

bench = EmbeddedBench(Path(sys.argv[1]))
bench.engine.create(bench.spec("a", "sleep 600")).start(attached=True)
"""
ORDERS = [
    ("bubblewrap",),
    ("parent",),
    ("starter",),
    ("bubblewrap", "parent"),
    ("parent", "bubblewrap"),
    ("starter", "bubblewrap"),
    ("starter", "parent", "bubblewrap"),
]


@pytest.fixture
def relatives() -> Iterator[Family]:
    """Whoever comes of this test; those who would stay are killed after it."""
    with family() as found:
        yield found
        for pid in found.alive():
            os.kill(pid, signal.SIGKILL)
        found.wait()


def start(script: str, folder: Path, path: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start a process that starts something in a root of busybox."""
    bench = EmbeddedBench(folder / "data")
    layers = [str(bench.data / "unpacked" / digest.hex) for digest in bench.layers]
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder / "another"), *layers],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*path, *filter(None, sys.path)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("script", [TOOL, CONTAINER], ids=["tool", "container"])
def test_nobody_of_a_start_outlives_it_whoever_is_killed_first(
    script: str, order: tuple[str, ...], relatives: Family, tmp_path: Path
) -> None:
    with start(script, tmp_path, [str(held_bubblewrap(tmp_path / "programs"))]) as starter:
        until(lambda: held(relatives))
        (bubblewrap,) = held(relatives)
        places = {"bubblewrap": bubblewrap, "parent": parent(bubblewrap), "starter": starter.pid}
        for place in order:
            with contextlib.suppress(ProcessLookupError):
                os.kill(places[place], signal.SIGKILL)
        relatives.wait()


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_nobody_of_a_tool_that_runs_outlives_it_either(
    order: tuple[str, ...], relatives: Family, tmp_path: Path
) -> None:
    with start(TOOL, tmp_path) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"ready\n"
        runner, bubblewrap = relatives.alive()[1:3]
        places = {"bubblewrap": bubblewrap, "parent": runner, "starter": starter.pid}
        for place in order:
            with contextlib.suppress(ProcessLookupError):
                os.kill(places[place], signal.SIGKILL)
        relatives.wait()


def test_a_tool_whose_bubblewrap_is_killed_ends_as_a_shell_would_say_it(relatives: Family, tmp_path: Path) -> None:
    with start(TOOL, tmp_path) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"ready\n"
        os.kill(relatives.alive()[2], signal.SIGKILL)
        assert starter.wait() == 128 + signal.SIGKILL


def test_an_interrupt_from_the_keyboard_ends_a_tool_and_all_of_it_without_a_word(
    relatives: Family, tmp_path: Path
) -> None:
    with start(TOOL.replace("import ", "import signal\nsignal.signal(2, 0)\nimport ", 1), tmp_path) as starter:
        assert starter.stdout
        assert starter.stderr
        assert starter.stdout.readline() == b"ready\n"
        os.killpg(starter.pid, signal.SIGINT)
        assert starter.wait() == -signal.SIGINT
        assert starter.stderr.read() == b""
        relatives.wait()


def held(relatives: Family) -> list[int]:
    """Every bubblewrap that has made its child."""
    there = [pid for pid in relatives.alive() if comm(pid) == HELD]
    return [pid for pid in there if any(parent(child) == pid for child in there)]


def comm(pid: int) -> str:
    """What the kernel calls a process; nothing for one that is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def parent(pid: int) -> int:
    """Whose child a process is; 0 for one that is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0
