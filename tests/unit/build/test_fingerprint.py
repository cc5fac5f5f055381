"""Files are hashed once, and again when the file system says that they changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiffin.build import fingerprint
from tiffin.build.fingerprint import Fingerprints
from tiffin.errors import ConfigError
from tiffin.oci.digest import Digest
from tiffin.store.records import Records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records")


def old(path: Path, data: bytes) -> Path:
    """Write a file of which the mtime is long past; its ctime is not, so nothing is remembered before a tick."""
    path.write_bytes(data)
    os.utime(path, ns=(10**18, 10**18))
    return path


def described(records: Records, folder: Path, *paths: Path) -> list[tuple[str, Digest]]:
    seen = Fingerprints(records, folder)
    files = seen.files({f"app/{path.name}": path for path in paths})
    seen.save()
    return [(file.path, file.digest) for file in files]


def test_many_files_are_described_in_the_order_of_their_paths(folder: Path, records: Records) -> None:
    paths = [old(folder / f"{n:04}", b"%d" % n) for n in range(700)]
    expected = [(f"app/{n:04}", Digest.of(b"%d" % n)) for n in range(700)]
    assert described(records, folder, *paths[::-1]) == expected
    assert described(records, folder, *paths) == expected


def test_what_is_known_is_not_read_again(folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "TICK_NS", 0)
    path = old(folder / "a", b"one")
    before = described(records, folder, path)
    monkeypatch.setattr(Digest, "of_stream", lambda _: pytest.fail("it was read again"))
    assert described(records, folder, path) == before


def test_a_file_written_in_the_same_tick_is_not_trusted(folder: Path, records: Records) -> None:
    path = folder / "a"
    path.write_bytes(b"one")
    described(records, folder, path)
    stamp = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert described(records, folder, path) == [("app/a", Digest.of(b"two"))]


def test_one_changed_file_among_others_is_hashed_anew(folder: Path, records: Records) -> None:
    paths = [old(folder / name, name.encode()) for name in "abc"]
    before = dict(described(records, folder, *paths))
    paths[1].write_bytes(b"changed")
    after = dict(described(records, folder, *paths))
    assert {name for name in after if after[name] != before[name]} == {"app/b"}


def test_a_folder_is_no_file(folder: Path, records: Records) -> None:
    with pytest.raises(ConfigError, match="not a regular file"):
        described(records, folder, folder)
