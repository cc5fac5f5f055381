"""What tests of trust share: two keys, and an image in a store."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.store.layout import LayoutStore
from tiffin.trust.keys import PrivateKey, generate, read_private

BLOB = b"layer" * 1000


def make_key(name: str) -> PrivateKey:
    return read_private(generate(b"").private, name, lambda: b"")


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return make_key("ours")


@pytest.fixture(scope="session")
def other_key() -> PrivateKey:
    return make_key("theirs")


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "store")


@pytest.fixture
def image(store: LayoutStore) -> Descriptor:
    return make_image(store, "one")


def make_image(store: LayoutStore, title: str) -> Descriptor:
    layer = Descriptor.of(BLOB, LAYER)
    store.put(layer, io.BytesIO(BLOB))
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[layer.digest]))
    made = Image.make(config, [layer], {"title": title})
    made.write(store)
    return made.descriptor
