"""What is done with images: find them, list them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tiffin.api.machine.home import Home
from tiffin.errors import ConflictError, NotFoundError
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


def remove_images(names: Sequence[str], *, home: Home | None = None) -> list[str]:
    """Forget names, and return what each meant; raises ConflictError for the last one of what a container runs."""
    home = home or Home.of()
    wanted = [_name_of(home.store, name) for name in names]
    meant = home.store.names()
    for name in wanted:
        left = [other for other in meant if other not in wanted and meant[other].digest == meant[name].digest]
        if not left and (container := _runs(home, meant[name].digest)):
            raise ConflictError(f"{name} is what the container {container} runs", f"`tiffin rm {container}` first")
    for name in dict.fromkeys(wanted):
        home.store.untag(name)
    return [f"{Reference.parse(name).name}@{meant[name].digest}" for name in wanted]


def _name_of(store: LayoutStore, text: str) -> str:
    """Find the name that is meant, by itself or by its digest; raises ConflictError where a digest has several."""
    if not text.startswith("sha256:"):
        name = Reference.parse(text).tagged
        store.resolve(name)
        return name
    names = sorted(name for name, descriptor in store.names().items() if descriptor.digest == text)
    if not names:
        raise NotFoundError(f"no name means {text}", "`tiffin images` lists the names; `tiffin prune` deletes the rest")
    if len(names) > 1:
        raise ConflictError(f"{text} has several names: {', '.join(names)}", "say which are to be forgotten")
    return names[0]


def _runs(home: Home, digest: Digest) -> str:
    """Name a container of the embedded engine that was made of an image; others have images of their own."""
    from tiffin.engine.embedded.folder import Folders, read_spec

    specs = [read_spec(folder) for folder in Folders(home.data / "containers").all()]
    return next((spec.name for spec in specs if spec.digest == digest), "")


def _row(name: str, image: Image) -> ImageRow:
    return ImageRow(
        name=name,
        digest=image.descriptor.digest,
        platform=Platform(os=image.config.os, architecture=image.config.architecture),
        layers=len(image.manifest.layers),
        size=image.manifest.config.size + sum(layer.size for layer in image.manifest.layers),
    )
