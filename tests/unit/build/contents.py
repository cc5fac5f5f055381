"""Images made of tables, for tests of what is said about images."""

from __future__ import annotations

from typing import Any

from tiffin.build.contents import ImageContents, LayerContents
from tiffin.layers.listing import File, Listing, Package
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS, RunConfig, encode


def layer(
    title: str,
    files: dict[str, str | int],
    *,
    packages: dict[Package, list[str]] | None = None,
    texts: dict[str, str] | None = None,
) -> LayerContents:
    """A layer of files, path -> text or size; each compresses to half. `packages` says whose files are."""
    owned = sorted((packages or {}).items())
    owners = {path: at for at, (_, paths) in enumerate(owned) for path in paths}
    listing = Listing(
        unpacked=sum(size if isinstance(size, int) else len(size) for size in files.values()),
        files=[_file(path, content, owners.get(path, -1)) for path, content in files.items()],
        packages=[package for package, _ in owned],
        texts=texts or {},
    )
    digest = Digest.of(encode(listing))
    descriptor = Descriptor(media_type=LAYER, digest=digest, size=listing.unpacked // 2)
    return LayerContents(title=title, descriptor=descriptor, diff_id=digest, listing=listing)


def _file(path: str, content: str | int, owner: int) -> File:
    size = content if isinstance(content, int) else len(content)
    return File(path, size, Digest.of(f"{content}".encode()).hex if size else "", owner=owner)


def image(*layers: LayerContents, **run: Any) -> ImageContents:
    """An image of these layers, bottom first; 100 bytes of it are its documents."""
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RunConfig(**run),
        rootfs=RootFS(diff_ids=[layer.diff_id for layer in layers]),
    )
    digest = Digest.of(encode([config, [layer.title for layer in layers]]))
    return ImageContents(name="iris", digest=digest, documents=100, config=config, layers=layers)
