"""What tests of registries share: an environment that knows no proxies, and a registry that holds one image."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from faulty_registry import FaultyRegistry, faulty_registry
from tiffin.layers.entry import Entry
from tiffin.layers.write import write_layer
from tiffin.oci.documents import Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.store.memory import MemoryStore

CONTENT = os.urandom(3 << 20)
"""Does not compress, so that its layer can be cut off in many places."""


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def held() -> tuple[Image, MemoryStore]:
    """An image of one layer of three megabytes, and the store that it is in."""
    store = MemoryStore()
    layer = write_layer([Entry.of("content", CONTENT)], store)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[layer.diff_id]))
    image = Image.make(config, [layer.descriptor], {})
    image.write(store)
    return image, store


@pytest.fixture
def registry(held: tuple[Image, MemoryStore]) -> Iterator[FaultyRegistry]:
    """A registry that has the image as team/iris:1."""
    with faulty_registry() as running:
        running.hold(*held, "1")
        yield running


@pytest.fixture
def layer(held: tuple[Image, MemoryStore]) -> Descriptor:
    return held[0].manifest.layers[0]
