"""What is looked at of what a decision depends on."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tiffin.api.machine.witness import look, same


class TestWitness:
    def test_a_file_is_the_same_until_it_is_written_replaced_or_removed(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        absent = look([str(path)], [], [])
        path.write_text("1")
        assert not same(absent)
        there = look([str(path)], [], [])
        assert same(json.loads(json.dumps(there)))
        (tmp_path / "b").write_text("1")
        (tmp_path / "b").replace(path)
        assert not same(there)

    def test_a_folder_is_the_same_whatever_happens_in_it_and_a_text_only_as_it_was(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "text").write_text("1")
        seen = look([], [str(tmp_path / "folder")], [str(tmp_path / "text"), str(tmp_path / "none")])
        os.utime(tmp_path / "folder", (1, 1))
        assert same(seen)
        (tmp_path / "text").write_text("2")
        assert not same(seen)
