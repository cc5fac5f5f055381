"""Containers on disk: what a process that died left half made or half removed is gone with the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.engine.embedded.folder import Folders
from tiffin.engine.spec import ContainerSpec
from tiffin.errors import ConflictError
from tiffin.oci.digest import Digest


def spec(name: str) -> ContainerSpec:
    return ContainerSpec(name=name, image="i", digest=Digest.of(b"i"), layers=(), argv=("true",))


def test_what_was_left_half_made_or_half_removed_goes_with_the_next_container(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    kept = folders.make(spec("kept"), None)
    for name in (".new-0123", ".gone-4567"):
        (tmp_path / name / "run").mkdir(parents=True)
    (tmp_path / "names" / "half").symlink_to("../0123")
    made = folders.make(spec("half"), None)
    assert set(tmp_path.iterdir()) == {kept, made, tmp_path / "names"}
    assert folders.find("half") == made


def test_a_name_that_is_taken_leaves_nothing(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    made = folders.make(spec("a"), None)
    with pytest.raises(ConflictError):
        folders.make(spec("a"), None)
    assert set(tmp_path.iterdir()) == {made, tmp_path / "names"}
