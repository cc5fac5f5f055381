"""Results in the store whatever is killed when, whoever else keeps the same, and however little room there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from end_to_end.disk import small_disk
from unit.pipeline import killed_results

PROGRAM = killed_results.__file__
MOMENTS = {"keep": 60, "keep again": 30, "take": 15, "take again": 20, "digest": 10, "prune": 20}
TOP = Path(__file__).parents[4]


def run(subject: str, folder: Path, *before: str) -> int:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [*before, sys.executable, str(PROGRAM), subject, str(folder)],
        env=os.environ | {"PYTHONPATH": f"{TOP / 'src'}:{TOP / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("subject", MOMENTS)
def test_what_is_killed_before_any_change_to_the_disk_leaves_nothing_by_half_and_goes_on(
    subject: str, tmp_path: Path
) -> None:
    assert run(subject, tmp_path / "place") >= MOMENTS[subject]


def test_a_full_disk_at_any_moment_is_an_error_that_says_so_and_nothing_is_there_by_half(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    with small_disk(tmp_path / "disk", 3) as disk:
        assert run("full", disk.path, "nsenter", f"--mount=/proc/{disk.holder}/ns/mnt") >= 20


def test_several_that_keep_the_same_at_once_beside_prunes_leave_one_whole_result(tmp_path: Path) -> None:
    assert run("rivals", tmp_path / "place") == killed_results.RIVALS
