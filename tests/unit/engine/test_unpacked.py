"""Unpacked layers: whole or absent, made once."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from tiffin.engine.embedded.unpacked import Unpacked
from tiffin.errors import IntegrityError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor

BLOBS = [b"one", b"two", b"three"]


class Shelf:
    """A store of three blobs that counts how often each is opened."""

    def __init__(self) -> None:
        self.opened: list[Digest] = []

    def exists(self, descriptor: Descriptor) -> bool:
        return bool(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        self.opened.append(descriptor.digest)
        return io.BytesIO(next(blob for blob in BLOBS if Digest.of(blob) == descriptor.digest))

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:
        raise AssertionError((descriptor, stream))


def write(blob: BinaryIO, media_type: str, target: Path, diff_id: Digest) -> None:
    """Unpack a blob that is its own only file."""
    data = blob.read()
    assert media_type == LAYER
    (target / "half").write_text("")
    if Digest.of(data) != diff_id:
        raise IntegrityError("not the diff ID")
    (target / "half").rename(target / data.decode())


LAYERS = {Digest.of(blob): Descriptor.of(blob, LAYER) for blob in BLOBS}


def test_each_layer_gets_a_folder_and_is_read_once(tmp_path: Path) -> None:
    shelf, unpacked = Shelf(), Unpacked(tmp_path / "unpacked", write)
    unpacked.add(shelf, LAYERS)
    unpacked.add(shelf, LAYERS)
    assert len(shelf.opened) == 3
    folders = unpacked.folders(list(LAYERS))
    assert [[path.name for path in folder.iterdir()] for folder in folders] == [["one"], ["two"], ["three"]]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o755}


def test_a_layer_that_is_not_its_diff_id_leaves_nothing(tmp_path: Path) -> None:
    other = Digest.of(b"other")
    unpacked = Unpacked(tmp_path, write)
    with pytest.raises(IntegrityError):
        unpacked.add(Shelf(), {other: LAYERS[Digest.of(b"one")]})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFoundError, match="is not unpacked"):
        unpacked.folders([other])


def test_many_at_once_get_the_same_folders(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def add() -> None:
        try:
            Unpacked(tmp_path, write).add(Shelf(), LAYERS)
        except Exception as error:  # noqa: BLE001 - the test shows whatever it is
            failed.append(error)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {path.name for path in tmp_path.iterdir()} == {digest.hex for digest in LAYERS}


def test_what_the_dead_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".new-dead/deep").mkdir(parents=True)
    Unpacked(tmp_path, write).add(Shelf(), LAYERS)
    assert not (tmp_path / ".new-dead").exists()
