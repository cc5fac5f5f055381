"""A file is there whole and for everyone to read, or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiffin.durable import renamed


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


def test_what_fails_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def interrupted() -> None:
        with renamed(target) as file:
            file.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
