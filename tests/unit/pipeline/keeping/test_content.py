"""Inputs known by their content, which is read once while they lie there unchanged."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiffin.errors import ConflictError, DeniedError, NotFoundError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.pipeline.keeping import content
from tiffin.pipeline.keeping.content import RACY, WORTH, Contents
from tiffin.progress import Event, Started, listening
from tiffin.store.records import Records

LATER = 10 * RACY


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    """Contents for whom all that was written was written long ago."""
    return Contents(Records(tmp_path / "known"), lambda: time.time_ns() + LATER)


def reads(work: Callable[[], object]) -> int:
    """Count how many files or folders are read for it."""
    heard: list[Event] = []
    with listening(heard.append):
        work()
    return sum(isinstance(event, Started) and event.name == "digest" for event in heard)


def test_a_file_is_known_by_its_bytes_wherever_it_lies(contents: Contents, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"rows")
    (tmp_path / "link").symlink_to("b")
    found = [contents.of(tmp_path / name) for name in ("a", "b", "link")]
    assert {one.digest for one in found} == {Digest.of(b"rows")}
    assert (found[0].size, found[0].folder) == (4, False)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_lies_there_unchanged_is_read_once(contents: Contents, tmp_path: Path, kind: str) -> None:
    path, folder = tmp_path / "data", kind == "folder"
    if folder:
        path.mkdir()
    (path / "rows" if folder else path).write_bytes(bytes(WORTH))
    assert [reads(lambda: contents.of(path)) for _ in range(3)] == [1, 0, 0]
    (tmp_path / "link").symlink_to("data")
    assert reads(lambda: contents.of(tmp_path / "link")) == 0, "it is the same"
    assert contents.of(path).folder is folder


def one_more(path: Path) -> None:
    (path / "new").touch()


def one_less(path: Path) -> None:
    (path / "empty").unlink()


def same_size_and_time(path: Path) -> None:
    before = (path / "rows").stat()
    (path / "rows").write_bytes(b"1" * WORTH)
    os.utime(path / "rows", ns=(before.st_atime_ns, before.st_mtime_ns))


def another_file(path: Path) -> None:
    before = (path / "rows").stat()
    (path / "other").write_bytes(b"1" * WORTH)
    os.utime(path / "other", ns=(before.st_atime_ns, before.st_mtime_ns))
    (path / "other").rename(path / "rows")


def executable(path: Path) -> None:
    (path / "empty").chmod(0o755)


def renamed(path: Path) -> None:
    (path / "empty").rename(path / "void")


def linked(path: Path) -> None:
    (path / "link").unlink()
    (path / "link").symlink_to("empty")


CHANGES = (one_more, one_less, same_size_and_time, another_file, executable, renamed, linked)


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_seen(contents: Contents, tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "data"
    path.mkdir()
    (path / "rows").write_bytes(bytes(WORTH))
    (path / "empty").touch()
    (path / "link").symlink_to("rows")
    given = contents.input(path, "Dataset")
    assert not contents.changed(given)
    change(path)
    assert contents.of(path).digest != given.digest
    assert contents.changed(given)


def test_times_and_owners_that_say_nothing_change_no_digest(contents: Contents, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    (path / "rows").write_bytes(bytes(WORTH))
    given = contents.input(path, "Dataset")
    os.utime(path / "rows", (1, 1))
    (path / "rows").chmod(0o600)
    assert not contents.changed(given)


def test_what_was_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    contents, path = Contents(Records(tmp_path / "known")), tmp_path / "rows"
    path.write_bytes(bytes(WORTH))
    assert [reads(lambda: contents.of(path)) for _ in range(2)] == [1, 1], "it may be written again within its time"


def test_a_file_of_the_future_is_never_remembered(contents: Contents, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(bytes(WORTH))
    os.utime(path, ns=(0, time.time_ns() + 2 * LATER))
    assert [reads(lambda: contents.of(path)) for _ in range(2)] == [1, 1]


def test_small_files_are_read_and_not_remembered(contents: Contents, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"1")
    contents.of(tmp_path / "rows")
    assert not (tmp_path / "known").exists()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"path":"x","signature":"y"}'])
def test_a_damaged_memory_is_none(contents: Contents, tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "rows"
    path.write_bytes(bytes(WORTH))
    contents.of(path)
    (record,) = (tmp_path / "known").glob("?" * 64)
    record.write_bytes(damage)
    assert contents.of(path).digest == Digest.of(bytes(WORTH))


def test_an_input_that_is_gone_or_is_no_file_any_more_has_changed(contents: Contents, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"1")
    given = contents.input(path, "Dataset")
    assert (given.name, given.type, given.size, given.path) == ("rows", "Dataset", 1, path)
    path.unlink()
    assert contents.changed(given)
    os.mkfifo(path)
    assert contents.changed(given)


def test_a_folder_whose_tar_a_file_has_is_another_input(contents: Contents, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    folder = contents.input(path, "Dataset")
    path.rmdir()
    path.write_bytes(bytes(1024))
    assert contents.of(path).digest == folder.digest
    assert contents.changed(folder)


@settings(max_examples=30)
@given(seed=st.integers(0, 1 << 32))
def test_what_is_remembered_is_never_another_digest_than_what_is_read(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "data"
        path.mkdir()
        remembering = Contents(Records(Path(scratch) / "known"))
        for _ in range(20):
            mutate(path, chance)
            forgetful = Contents(Records(Path(scratch) / f"new-{chance.random()}"))
            assert remembering.of(path) == forgetful.of(path)


def mutate(path: Path, chance: random.Random) -> None:
    """Change a folder of a few large files as users and their tools do, their times put back now and then."""
    file = path / chance.choice("abc")
    if not file.exists():
        file.write_bytes(bytes([chance.randrange(3)]) * WORTH)
        os.utime(file, (1, 1))
        return
    before, what = file.stat(), chance.randrange(6)
    if what == 0:
        file.unlink()
        return
    if what == 1:
        file.rename(path / chance.choice("abc"))
        return
    if what == 2:
        file.chmod(before.st_mode ^ 0o111)
    else:
        with file.open("r+b") as writing:
            writing.seek(chance.randrange(WORTH))
            writing.write(chance.randbytes(1))
    if chance.random() < 0.5:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_cannot_be_an_input_is_refused_by_path(
    contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=r"data/rows\.csv is not there") as caught:
        contents.of(Path("data/rows.csv"))
    assert "`ls data`" in str(caught.value.hint)
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    Path("round").symlink_to("round")
    Path("folder").mkdir()
    Path("folder/out").symlink_to("../fifo")
    for name, message in {
        "fifo": "fifo is a fifo",
        "socket": "socket is a socket",
        "/dev/null": "is a device",
        "round": "leads to itself",
        "folder": r"folder/out is a link to \.\./fifo, which leads out of",
    }.items():
        with pytest.raises(UnsupportedError, match=message):
            contents.of(Path(name))


def test_a_file_that_changes_while_it_is_read_is_an_error(contents: Contents, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(bytes(3 * WORTH))

    def grow(event: Event) -> None:
        if isinstance(event, Started):
            path.write_bytes(b"1" * 3 * WORTH)

    with listening(grow), pytest.raises(ConflictError, match="rows changed while it was read"):
        contents.of(path)


def test_what_may_not_be_read_is_refused_by_path(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "folder" / "secret").write_bytes(b"1")
    (tmp_path / "folder" / "secret").chmod(0)
    script = (
        "import os, sys, pathlib\n"
        "from tiffin.pipeline.keeping.content import Contents\n"
        "from tiffin.store.records import Records\n"
        "os.geteuid() or os.setuid(65532)\n"
        "Contents(Records(pathlib.Path('/nowhere'))).of(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "folder" / "secret")],
        env=os.environ | {"PYTHONPATH": str(Path(content.__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{DeniedError.__name__}: {tmp_path.parents[2]}" in done.stderr
    assert "cannot be read: Permission denied" in done.stderr
