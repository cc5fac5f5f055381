"""The same source is the same digest and the same tar, wherever it lies and whoever touched it."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from sources import source_files, source_folder
from tiffin.errors import ConfigError
from tiffin.packages.pypi import trees
from tiffin.packages.pypi.trees import EPOCH, Tree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return source_folder(tmp_path / "mylib", source_files("mylib"))


def packed(folder: Path) -> bytes:
    out = io.BytesIO()
    Tree.of(folder).pack(out)
    return out.getvalue()


def test_another_folder_umask_clock_and_order_change_nothing(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "copy"
    before = os.umask(0o077)
    try:
        source_folder(other, dict(reversed(source_files("mylib").items())))
    finally:
        os.umask(before)
    os.utime(other / "backend.py", (1, 1))
    assert Tree.of(other).digest == Tree.of(folder).digest
    assert packed(other) == packed(folder)


def test_what_tools_leave_beside_a_source_is_no_part_of_it(folder: Path) -> None:
    before = Tree.of(folder).digest
    left = [
        ".git/HEAD", "mylib/__pycache__/x.pyc", ".venv/pyvenv.cfg", "env/pyvenv.cfg", "env/lib/x.py",
        "mylib.egg-info/PKG-INFO", "build/lib/mylib/old.py", "node_modules/x.js", ".ruff_cache/x",
    ]  # fmt: skip
    source_folder(folder, dict.fromkeys(left, "left"))
    assert Tree.of(folder).digest == before


@pytest.mark.parametrize("name", ["mylib/__init__.py", "data.txt", "build/notes.txt", ".hidden"])
def test_everything_else_is(name: str, folder: Path) -> None:
    before = Tree.of(folder).digest
    source_folder(folder, {name: "changed"})
    assert Tree.of(folder).digest != before


def test_an_executable_bit_and_the_text_of_a_link_count(folder: Path) -> None:
    digests = {Tree.of(folder).digest}
    (folder / "backend.py").chmod(0o755)
    digests.add(Tree.of(folder).digest)
    (folder / "link").symlink_to("backend.py")
    digests.add(Tree.of(folder).digest)
    (folder / "link").unlink()
    (folder / "link").symlink_to("pyproject.toml")
    digests.add(Tree.of(folder).digest)
    assert len(digests) == 4


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "mylib/../../secret"])
def test_a_link_out_of_a_source_is_refused(target: str, folder: Path) -> None:
    (folder / "link").symlink_to(target)
    with pytest.raises(ConfigError, match="is a link out of"):
        Tree.of(folder)


def test_a_link_through_another_link_is_followed_to_its_end(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "inner").mkdir()
    (folder / "inner" / "up").symlink_to("..")
    (folder / "link").symlink_to("inner/up/../secret")
    with pytest.raises(ConfigError, match="is a link out of"):
        Tree.of(folder)


def test_files_that_are_named_are_left_out(folder: Path) -> None:
    before = Tree.of(folder).digest
    (folder / "model.bin").write_text("weights")
    assert Tree.of(folder, {folder / "model.bin"}).digest == before


def test_a_source_with_data_in_it_is_refused_by_its_largest_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_LARGEST", 2 << 20)
    (folder / "data.bin").write_bytes(b"x" * (3 << 20))
    with pytest.raises(ConfigError, match=r"3 MB to build a wheel from, the largest is data\.bin"):
        Tree.of(folder)


def test_every_file_of_the_tar_has_the_same_owner_and_time(folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(folder))) as archive:
        members = archive.getmembers()
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members} == {(0, 0, "", EPOCH)}
    assert [member.name for member in members] == sorted(member.name for member in members)
