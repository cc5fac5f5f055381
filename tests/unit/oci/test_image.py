"""An image whose documents do not fit together is refused."""

from __future__ import annotations

import pytest

from tiffin.errors import IntegrityError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image, read_image
from tiffin.store.memory import MemoryStore


@pytest.mark.parametrize("layers", [0, 2])
def test_as_many_diff_ids_as_layers_are_expected(layers: int) -> None:
    store = MemoryStore()
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[Digest.of(b"tar")]))
    image = Image.make(config, [Descriptor.of(b"tar", LAYER)] * layers, {})
    image.write(store)
    with pytest.raises(IntegrityError, match=f"has {layers} layers"):
        read_image(store, image.descriptor)
