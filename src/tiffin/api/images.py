"""What is done with images: find them, list them."""

from __future__ import annotations

import msgspec

from tiffin.api.home import Home
from tiffin.errors import NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import MANIFEST, Descriptor
from tiffin.oci.image import Image, read_image
from tiffin.oci.platform import Platform
from tiffin.oci.reference import Reference
from tiffin.store.layout import LayoutStore


class ImageRow(msgspec.Struct, frozen=True, kw_only=True):
    """An image, as a list shows it; `size` is in bytes as it would be pushed."""

    name: str
    digest: Digest
    platform: Platform
    layers: int
    size: int


def images(home: Home | None = None) -> list[ImageRow]:
    """List the images of the store by name."""
    store = (home or Home.of()).store
    return [_row(name, read_image(store, descriptor)) for name, descriptor in sorted(store.names().items())]


def find_image(store: LayoutStore, name: str) -> Image:
    """Find an image by name, by name and digest, or by digest alone; raises NotFoundError."""
    digest = Digest.parse(name) if name.startswith("sha256:") else Reference.parse(name).digest
    if digest is None:
        return read_image(store, store.resolve(Reference.parse(name).tagged))
    path = store.root / "blobs" / digest.algorithm / digest.hex
    if not path.is_file():
        raise NotFoundError(f"no image {name}", "`tiffin images` lists what is here")
    return read_image(store, Descriptor(media_type=MANIFEST, digest=digest, size=path.stat().st_size))


def _row(name: str, image: Image) -> ImageRow:
    return ImageRow(
        name=name,
        digest=image.descriptor.digest,
        platform=Platform(os=image.config.os, architecture=image.config.architecture),
        layers=len(image.manifest.layers),
        size=image.manifest.config.size + sum(layer.size for layer in image.manifest.layers),
    )
