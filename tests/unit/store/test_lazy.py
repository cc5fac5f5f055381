"""A layout before another place: what lies there counts as here, and comes when it is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import pytest

from tiffin.errors import DeniedError, NotFoundError
from tiffin.oci.copy import copy
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.progress import Noted, listening
from tiffin.store.layout import LayoutStore
from tiffin.store.lazy import Behind, LazyStore
from tiffin.store.memory import MemoryStore

BLOB = b"layer" * 1000
DESCRIPTOR = Descriptor.of(BLOB, LAYER)


class Asked(MemoryStore):
    """A place that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def exists(self, descriptor: Descriptor) -> bool:
        self.asked.append("exists")
        return super().exists(descriptor)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        self.asked.append("open")
        return super().open(descriptor)


class Denying(Asked):
    """A place that lets nobody in."""

    def exists(self, descriptor: Descriptor) -> bool:
        super().exists(descriptor)
        raise DeniedError("nobody may look", "log in")


def lazy(folder: Path, behind: Asked) -> LazyStore:
    return LazyStore(folder, Behind("registry.example/team/iris", behind))


def test_what_lies_behind_counts_as_here_and_nothing_is_moved(tmp_path: Path) -> None:
    behind = Asked()
    behind.put(DESCRIPTOR, io.BytesIO(BLOB))
    behind.asked.clear()
    store = lazy(tmp_path, behind)
    assert store.exists(DESCRIPTOR)
    assert store.exists(DESCRIPTOR)
    assert behind.asked == ["exists"], "what was seen once is not asked for again"
    assert not store.holds(DESCRIPTOR)


def test_what_is_read_stays_here(tmp_path: Path) -> None:
    behind = Asked()
    behind.put(DESCRIPTOR, io.BytesIO(BLOB))
    for _ in range(2):
        with lazy(tmp_path, behind).open(DESCRIPTOR) as stream:
            assert stream.read() == BLOB
    assert behind.asked.count("open") == 1
    assert LayoutStore(tmp_path).exists(DESCRIPTOR)


def test_what_is_here_is_asked_of_nobody(tmp_path: Path) -> None:
    behind = Asked()
    store = lazy(tmp_path, behind)
    store.put(DESCRIPTOR, io.BytesIO(BLOB))
    store.open(DESCRIPTOR).close()
    assert store.exists(DESCRIPTOR)
    assert behind.asked == []


def test_what_is_nowhere_is_not_found(tmp_path: Path) -> None:
    store = lazy(tmp_path, Asked())
    assert not store.exists(DESCRIPTOR)
    with pytest.raises(NotFoundError, match=DESCRIPTOR.digest.hex):
        store.open(DESCRIPTOR)


def test_what_is_put_lies_here_even_if_it_lies_behind(tmp_path: Path) -> None:
    behind = Asked()
    behind.put(DESCRIPTOR, io.BytesIO(BLOB))
    store = lazy(tmp_path, behind)
    store.put(DESCRIPTOR, io.BytesIO(BLOB))
    assert store.holds(DESCRIPTOR)


def test_a_place_that_does_not_answer_has_nothing_and_that_is_said_once(tmp_path: Path) -> None:
    behind, said = Denying(), []
    store = lazy(tmp_path, behind)
    with listening(said.append):
        assert not store.exists(DESCRIPTOR)
        assert not store.exists(DESCRIPTOR)
    assert behind.asked == ["exists"]
    told = [event.message for event in said if isinstance(event, Noted)]
    assert told == ["no layers are taken from registry.example/team/iris: nobody may look"]


def test_an_image_over_layers_that_lie_behind_goes_there_without_them(tmp_path: Path) -> None:
    behind = Asked()
    behind.put(DESCRIPTOR, io.BytesIO(BLOB))
    store = lazy(tmp_path, behind)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[DESCRIPTOR.digest]))
    image = Image.make(config, [DESCRIPTOR], {})
    image.write(store)
    behind.asked.clear()
    copy(store, behind, image.descriptor)
    assert behind.exists(image.descriptor)
    assert "open" not in behind.asked
    assert not store.holds(DESCRIPTOR)
