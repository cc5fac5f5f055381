"""Records that are used, and forgotten unless somebody relied on them meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiffin.oci.digest import Digest
from tiffin.store.records import Records

KEY, OTHER = Digest.of(b"key"), Digest.of(b"other")
LONG_AGO = 1_000_000_000.0


@pytest.fixture
def records(tmp_path: Path) -> Records:
    """Records of which one was not used in a long time."""
    found = Records(tmp_path / "records")
    for key in (KEY, OTHER):
        found.put(key, {"a": 1})
    os.utime(tmp_path / "records" / KEY.hex, (LONG_AGO, LONG_AGO))
    return found


def test_what_nobody_relied_on_is_forgotten(records: Records, tmp_path: Path) -> None:
    assert records.used()[KEY] == LONG_AGO < records.used()[OTHER]
    assert records.drop(KEY, LONG_AGO)
    assert set(records.all(dict)) == {OTHER}
    assert records.drop(KEY, LONG_AGO), "it is forgotten already"
    assert not list((tmp_path / "records" / "tmp").iterdir())


def test_what_somebody_came_to_rely_on_stays(records: Records, tmp_path: Path) -> None:
    seen = records.used()[KEY]
    records.use(KEY)
    assert not records.drop(KEY, seen)
    assert records.get(KEY, dict) == {"a": 1}
    assert records.used()[KEY] > seen
    assert not list((tmp_path / "records" / "tmp").iterdir())


def test_what_was_recorded_anew_meanwhile_is_not_taken_back(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, rename = records.used()[KEY], Path.rename
    records.use(KEY)

    def rename_and_record(path: Path, target: Path) -> Path:
        found = rename(path, target)
        monkeypatch.undo()
        records.put(KEY, {"a": 2})
        return found

    monkeypatch.setattr(Path, "rename", rename_and_record)
    assert not records.drop(KEY, seen)
    assert records.get(KEY, dict) == {"a": 2}
    assert not list((tmp_path / "records" / "tmp").iterdir())


def test_whoever_uses_what_is_not_recorded_changes_nothing(records: Records) -> None:
    records.use(Digest.of(b"nothing"))
    assert set(records.used()) == {KEY, OTHER}
