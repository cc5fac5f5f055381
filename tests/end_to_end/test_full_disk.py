"""A full disk: an error that names the folder, a store that stays whole, a build that goes on once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.disk import Disk, assert_full, small_disk
from end_to_end.small import Downloads, check_store, environment, left_over, tiffin, write_project
from tiffin.packages.lock import FILENAME

ROOM = [0.1, 2, 6, 15, 35, 50]
"""Megabytes beside the downloads: a record, parts of layers, parts of what they are unpacked to."""
PLENTY = 300


@pytest.fixture
def project(downloads: Downloads, tmp_path: Path) -> Path:
    folder = write_project(tmp_path / "project")
    shutil.copy(downloads.lock, folder / FILENAME)
    return folder


@pytest.fixture
def disk(downloads: Downloads, tmp_path: Path) -> Iterator[Disk]:
    """A disk with the downloads on it."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    with small_disk(tmp_path / "disk", PLENTY) as disk:
        downloads.copy(disk.seen, shutil.copyfile)
        yield disk


def test_a_disk_that_is_full_at_any_stage_of_a_build_loses_nothing(
    disk: Disk, project: Path, downloads: Downloads
) -> None:
    downloaded = disk.used()
    for room in ROOM:
        disk.resize(downloaded + room)
        assert_full(disk.tiffin("build", project), disk.path)
        assert check_store(disk.seen) == {}
        assert left_over(disk.seen) == []
    disk.resize(PLENTY)
    done = disk.tiffin("build", project)
    assert done.stdout.strip() == f"small@{downloads.digest}", done.stderr
    assert check_store(disk.seen) == {"small:latest": downloads.digest}


def test_a_full_folder_for_temporary_files_is_named(disk: Disk, project: Path) -> None:
    disk.resize(disk.used() + 20)
    (disk.seen / "temporary").mkdir()
    temporary = disk.path / "temporary"
    done = disk.tiffin("build", project, TMPDIR=str(temporary), TIFFIN_HOME=str(disk.path))
    assert_full(done, disk.path)
    assert left_over(disk.seen) == []


def test_a_container_on_a_full_disk_is_refused_and_its_name_is_free_again(disk: Disk, project: Path) -> None:
    assert disk.tiffin("build", project).returncode == 0
    disk.resize(disk.used())
    assert_full(disk.tiffin("run", "small", "-d", "--name", "a", "-p", "0"), disk.path)
    disk.resize(PLENTY)
    done = disk.tiffin("run", "small", "-d", "--name", "a", "-p", "0")
    assert done.returncode == 0, done.stderr
    assert disk.tiffin("rm", "-f", "a").returncode == 0


@pytest.mark.parametrize("limit", [1_000, 100_000, 3_000_000])
def test_a_limit_on_the_size_of_files_is_a_clear_error_and_loses_nothing(
    limit: int, downloads: Downloads, project: Path, tmp_path: Path
) -> None:
    home = downloads.copy(tmp_path / "home")
    (home / "temporary").mkdir()
    command = [sys.executable, "-m", "tiffin", "build", str(project)]
    done = subprocess.run(
        ["prlimit", f"--fsize={limit}", *command],
        env=environment(home, TMPDIR=str(home / "temporary")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert_full(done, home)
    assert f"{limit} bytes" in done.stderr
    assert check_store(home) == {}
    assert left_over(home) == []
    assert tiffin(home, "build", project) == f"small@{downloads.digest}"
