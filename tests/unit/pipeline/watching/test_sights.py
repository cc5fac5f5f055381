"""Data is read when it is still, and only when its times say so; a registry is asked from time to time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tiffin.errors import NotFoundError, TiffinError, UnavailableError
from tiffin.oci.digest import Digest
from tiffin.pipeline.keeping.content import Content, Contents
from tiffin.pipeline.watching.sights import ASKED_AT_LEAST, ASKED_EVERY, Data, Tag
from tiffin.pipeline.watching.triggers import Sight
from tiffin.store.records import Records


class Reads(Contents):
    """Contents that count how often they are asked to read."""

    read = 0

    def of(self, path: Path) -> Content:
        self.read += 1
        return super().of(path)


class Looked:
    """A file that is looked at, at times that a test says."""

    def __init__(self, folder: Path, settle: float = 5.0) -> None:
        self.path, self.contents = folder / "rows", Reads(Records(folder / "known"))
        self.now, self.ahead = 100.0, 0
        self.data = Data(
            self.path, self.contents, settle, clock=lambda: self.now, wall=lambda: time.time_ns() + self.ahead
        )

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.ahead += int(seconds * 1e9)


@pytest.fixture
def looked(tmp_path: Path) -> Looked:
    return Looked(tmp_path)


def digest(text: str) -> str:
    return str(Digest.of(text.encode()))


def test_what_was_written_just_now_is_not_read_yet(looked: Looked) -> None:
    looked.write("1")
    sight = looked.data.look()
    assert 4 < sight.unsettled <= 5
    assert looked.contents.read == 0
    looked.later(5)
    assert looked.data.look() == Sight(digest=digest("1"))


def test_what_was_written_long_ago_is_read_at_once(looked: Looked) -> None:
    looked.write("1")
    looked.later(3600)
    assert looked.data.look() == Sight(digest=digest("1"))


def test_each_change_begins_the_wait_anew(looked: Looked) -> None:
    looked.write("1")
    looked.later(3600)
    looked.data.look()
    for text in ("12", "123", "1234"):
        looked.write(text)
        assert looked.data.look() == Sight(unsettled=5.0)
        looked.later(4)
        assert looked.data.look() == Sight(unsettled=1.0)
    looked.later(1)
    assert looked.data.look() == Sight(digest=digest("1234"))


def test_what_is_as_it_was_is_not_read_again(looked: Looked) -> None:
    looked.write("1")
    looked.later(3600)
    for _ in range(10):
        looked.data.look()
    assert looked.contents.read == 1


def test_a_clock_that_is_behind_the_files_times_does_not_make_data_wait_for_ever(looked: Looked) -> None:
    looked.write("1")
    os.utime(looked.path, (time.time() + 10**6, time.time() + 10**6))
    assert looked.data.look() == Sight(unsettled=5.0)
    looked.later(5)
    assert looked.data.look() == Sight(digest=digest("1"))


def test_what_is_not_there_has_no_digest_and_a_reason(looked: Looked) -> None:
    assert looked.data.look() == Sight()
    assert isinstance(looked.data.problem, NotFoundError)
    looked.write("1")
    looked.later(10)
    assert looked.data.look().digest
    assert looked.data.problem is None


def test_a_folder_is_seen_to_lose_a_file(tmp_path: Path) -> None:
    looked = Looked(tmp_path)
    looked.path.mkdir()
    for name in "ab":
        (looked.path / name).write_text(name)
    looked.later(10)
    before = looked.data.look().digest
    (looked.path / "b").unlink()
    assert looked.data.look() == Sight(unsettled=5.0)
    looked.later(5)
    assert looked.data.look().digest not in {"", before}


def test_a_link_that_leads_elsewhere_now_is_other_data(tmp_path: Path) -> None:
    looked = Looked(tmp_path, 0.0)
    (tmp_path / "1").write_text("1")
    (tmp_path / "2").write_text("2")
    looked.path.symlink_to("1")
    assert looked.data.look() == Sight(digest=digest("1"))
    looked.path.unlink()
    looked.path.symlink_to("2")
    assert looked.data.look() == Sight(digest=digest("2"))


class Asked:
    """A registry that answers as a test says, and counts."""

    def __init__(self) -> None:
        self.answer: Digest | TiffinError = Digest.of(b"1")
        self.times, self.now = 0, 0.0
        self.tag = Tag(self._ask, clock=lambda: self.now)

    def _ask(self) -> Digest:
        self.times += 1
        if isinstance(self.answer, TiffinError):
            raise self.answer
        return self.answer

    def watch(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.tag.look()


def test_a_registry_is_asked_once_a_minute() -> None:
    asked = Asked()
    assert asked.tag.look() == Sight(digest=digest("1"))
    asked.watch(600)
    assert asked.times == 1 + 600 / ASKED_EVERY


def test_a_registry_that_does_not_answer_is_asked_less_and_less_and_what_it_said_stays() -> None:
    asked = Asked()
    asked.tag.look()
    asked.answer = UnavailableError("no answer")
    asked.watch(24 * 3600)
    assert asked.times < 24 * 3600 / ASKED_AT_LEAST + 10
    assert asked.tag.look() == Sight(digest=digest("1"))
    assert asked.tag.problem is asked.answer
    asked.answer = Digest.of(b"2")
    asked.watch(int(ASKED_AT_LEAST))
    assert asked.tag.look() == Sight(digest=digest("2"))
    assert asked.tag.problem is None
