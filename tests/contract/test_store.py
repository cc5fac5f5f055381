"""What every store does, whatever it is made of."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tiffin.errors import IntegrityError, NotFoundError
from tiffin.oci.copy import copy
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image, read_image
from tiffin.store.layout import LayoutStore
from tiffin.store.memory import MemoryStore

BLOB = b"layer" * 1000
DESCRIPTOR = Descriptor.of(BLOB, LAYER)
type_of_store = MemoryStore | LayoutStore


@pytest.fixture(params=["memory", "layout"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> type_of_store:
    return MemoryStore() if request.param == "memory" else LayoutStore(tmp_path / "store")


class TestStore:
    def test_what_is_put_is_read_back(self, store: type_of_store) -> None:
        store.put(DESCRIPTOR, io.BytesIO(BLOB))
        with store.open(DESCRIPTOR) as stream:
            assert stream.read() == BLOB
        assert store.exists(DESCRIPTOR)

    def test_an_absent_blob_is_not_found(self, store: type_of_store) -> None:
        assert not store.exists(DESCRIPTOR)
        with pytest.raises(NotFoundError, match=DESCRIPTOR.digest.hex):
            store.open(DESCRIPTOR)

    @pytest.mark.parametrize("data", [BLOB[:-1], BLOB + b"x", b"X" + BLOB[1:], b""])
    def test_other_bytes_than_described_are_refused_and_leave_nothing(self, store: type_of_store, data: bytes) -> None:
        with pytest.raises(IntegrityError, match="sha256"):
            store.put(DESCRIPTOR, io.BytesIO(data))
        assert not store.exists(DESCRIPTOR)

    def test_putting_twice_is_the_same_as_once(self, store: type_of_store) -> None:
        store.put(DESCRIPTOR, io.BytesIO(BLOB))
        store.put(DESCRIPTOR, io.BytesIO(BLOB))
        assert store.exists(DESCRIPTOR)

    def test_content_without_a_known_digest_is_ingested(self, store: type_of_store) -> None:
        with store.ingest() as writer:
            writer.write(BLOB[:100])
            writer.write(BLOB[100:])
            assert writer.commit(LAYER) == DESCRIPTOR
        assert store.exists(DESCRIPTOR)

    def test_what_is_not_committed_leaves_no_trace(self, store: type_of_store) -> None:
        with store.ingest() as writer:
            writer.write(BLOB)
        assert not store.exists(DESCRIPTOR)

    def test_names_come_and_go(self, store: type_of_store) -> None:
        other = Descriptor.of(b"other", LAYER)
        store.tag("iris:latest", DESCRIPTOR)
        store.tag("iris:1", DESCRIPTOR)
        store.tag("iris:latest", other)
        assert store.resolve("iris:latest").digest == other.digest
        assert {name: d.digest for name, d in store.names().items()} == {
            "iris:latest": other.digest,
            "iris:1": DESCRIPTOR.digest,
        }
        store.untag("iris:latest")
        with pytest.raises(NotFoundError, match="iris:latest"):
            store.resolve("iris:latest")
        with pytest.raises(NotFoundError):
            store.untag("iris:latest")

    def test_an_image_is_written_read_and_copied_whole(self, store: type_of_store) -> None:
        store.put(DESCRIPTOR, io.BytesIO(BLOB))
        config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[DESCRIPTOR.digest]))
        image = Image.make(config, [DESCRIPTOR], {})
        image.write(store)
        assert read_image(store, image.descriptor) == image
        elsewhere = MemoryStore()
        copy(store, elsewhere, image.descriptor)
        assert read_image(elsewhere, image.descriptor) == image
        assert elsewhere.exists(DESCRIPTOR)


def test_a_layout_sweeps_only_what_nobody_writes(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    with store.ingest() as writer:
        writer.write(BLOB)
        (tmp_path / "tmp" / "blob-dead").write_bytes(b"left behind")
        assert store.sweep() == 1
        assert writer.commit(LAYER) == DESCRIPTOR
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_layout_is_one_that_the_specification_describes(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    store.put(DESCRIPTOR, io.BytesIO(BLOB))
    store.tag("a:b", DESCRIPTOR)
    assert (tmp_path / "oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'
    assert (tmp_path / "blobs" / "sha256" / DESCRIPTOR.digest.hex).read_bytes() == BLOB
    assert Digest.parse(str(DESCRIPTOR.digest)) == DESCRIPTOR.digest
