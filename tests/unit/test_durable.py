"""Files appear whole or not at all, whoever else writes them and whatever was left behind."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tiffin.durable import full, renamed, sweep
from tiffin.errors import FullError

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from tiffin.durable import renamed
with renamed(Path(sys.argv[1])) as file:
    file.write(b"x" * 100_000)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_a_file_has_the_same_mode_whatever_the_umask(tmp_path: Path) -> None:
    with renamed(tmp_path / "file") as file:
        file.write(b"content")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_file_takes_the_place_of_the_old_one_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "file"
    for content in (b"old", b"new"):
        with renamed(target) as file:
            file.write(content)
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_was_not_finished_leaves_the_old_one_and_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("old")
    with pytest.raises(TypeError), renamed(target) as file:
        file.writelines([b"new", "not bytes"])  # type: ignore[list-item]
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_half_written_is_swept_and_what_somebody_writes_is_not(tmp_path: Path) -> None:
    (tmp_path / ".left.new").write_text("half")
    with renamed(tmp_path / "names" / "a", by_way_of=tmp_path) as file:
        assert sweep(tmp_path) == 1
        file.write(b"whole")
    assert (tmp_path / "names" / "a").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["names"]


def test_what_a_killed_process_left_half_written_is_written_over(tmp_path: Path) -> None:
    target = tmp_path / "a"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(target)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [".a.new"]
    with renamed(target) as file:
        file.write(b"short")
    assert target.read_bytes() == b"short"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_many_who_write_one_file_at_once_each_write_it_whole(tmp_path: Path) -> None:
    target = tmp_path / "a"

    def write(number: int) -> None:
        with renamed(target) as file:
            for _ in range(20):
                file.write(b"%03d\n" % number)
                file.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    lines = target.read_bytes().split()
    assert len(lines) == 20
    assert len(set(lines)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_names_the_folder_and_what_to_do(number: int, tmp_path: Path) -> None:
    with pytest.raises(FullError) as caught, renamed(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_full_disk_without_a_name_still_says_what_to_do() -> None:
    assert full(OSError(errno.ENOSPC, ""), None).hint == "`df -h` shows which one is full; make room there"


def test_another_error_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), renamed(tmp_path / "a"):
        raise PermissionError
