"""A full disk: an error that names the folder, a store that stays whole, a build that goes on once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from end_to_end.small import Downloads, check_store, environment, left_over, tiffin, write_project
from tiffin.errors import FullError
from tiffin.packages.lock import FILENAME

MEGABYTE = 1_000_000
ROOM = [0.1, 2, 6, 15, 35, 50]
"""Megabytes beside the downloads: a record, parts of layers, parts of what they are unpacked to."""
PLENTY = 300


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A file system in memory that only the processes of one mount namespace see."""

    path: Path
    holder: int

    @property
    def seen(self) -> Path:
        """Where it is, seen from here."""
        return Path(f"/proc/{self.holder}/root{self.path}")

    def resize(self, size: float) -> None:
        """Let it hold so many megabytes."""
        options = f"remount,size={int(size * MEGABYTE)}"
        subprocess.run([*self._inside(), "mount", "-o", options, self.path], check=True)

    def used(self) -> float:
        """Megabytes in use."""
        found = os.statvfs(self.seen)
        return (found.f_blocks - found.f_bfree) * found.f_frsize / MEGABYTE

    def tiffin(self, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        """Run tiffin with its home on this disk."""
        return subprocess.run(
            [*self._inside(), sys.executable, "-m", "tiffin", *map(str, arguments)],
            env=environment(self.path, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _inside(self) -> list[str]:
        return ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt"]


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
    path = tmp_path / "disk"
    path.mkdir()
    script = f"mount -t tmpfs -o mode=0755,size={PLENTY}m tmpfs {path} && echo && exec cat"
    holding = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline(), "no disk"
        disk = Disk(path=path, holder=holder.pid)
        downloads.copy(disk.seen, shutil.copyfile)
        yield disk
        holder.stdin.close()


def assert_full(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    """The error is ours, names a place in the folder and says what to do."""
    assert done.returncode == FullError.exit_status, done.stderr
    assert f"{folder}" in done.stderr
    assert "error: " in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


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
