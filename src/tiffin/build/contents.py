"""What is in an image, layer by layer, as values: what `explain` and `diff` reason about."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from tiffin.build.plan import SERVICE
from tiffin.layers.listing import NOBODY, File, Listing, Package, list_layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor, History, ImageConfig, encode
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.progress import parallel, step
from tiffin.store.records import Records

LISTING = 1
"""Raised whenever a listing of the same layer would say something else."""

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_SHELL = ("/bin/sh -c #(nop) ", "/bin/sh -c ")


class LayerContents(msgspec.Struct, frozen=True, kw_only=True):
    """A layer: what people call it, where its bytes are, and what it holds."""

    title: str
    descriptor: Descriptor
    diff_id: Digest
    listing: Listing


class ImageContents(msgspec.Struct, frozen=True, kw_only=True):
    """An image with the listings of its layers, bottom first."""

    name: str
    digest: Digest
    documents: int
    """Bytes of the manifest and the config."""
    config: ImageConfig
    layers: tuple[LayerContents, ...]


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A file where a container sees it: the layer it comes from, by number, and whose it is."""

    file: File
    layer: int
    owner: Package | None


def read_contents(name: str, image: Image, store: Store, records: Records) -> ImageContents:
    """List the layers of an image, those in parallel that are not remembered from before."""
    listing = partial(_listing, store=store, records=records)
    layers = list(zip(image.manifest.layers, image.config.rootfs.diff_ids, strict=True))
    with step("read", name):
        listings = parallel(listing, layers)
    return ImageContents(
        name=name,
        digest=image.descriptor.digest,
        documents=len(image.manifest_bytes) + len(image.config_bytes),
        config=image.config,
        layers=tuple(
            LayerContents(title=title, descriptor=descriptor, diff_id=diff_id, listing=found)
            for title, (descriptor, diff_id), found in zip(
                titles(image.config.history, len(layers)), layers, listings, strict=True
            )
        ),
    )


def _listing(layer: tuple[Descriptor, Digest], store: Store, records: Records) -> Listing:
    descriptor, diff_id = layer
    key = Digest.of(encode([LISTING, diff_id]))
    known = records.get(key, Listing)
    if known is None:
        with store.open(descriptor) as blob:
            known = list_layer(blob, descriptor.media_type, diff_id, keep=[SERVICE])
        records.put(key, known)
    return known


def titles(history: list[History], count: int) -> list[str]:
    """What people call each layer: tiffin's own word, or the instruction that made it; numbers where nobody says."""
    said = [_title(made) for made in history if not made.empty_layer]
    return said if len(said) == count else [f"layer {number}" for number in range(1, count + 1)]


def _title(made: History) -> str:
    if made.created_by in {"", "tiffin"}:
        return made.comment or "unnamed"
    text = made.created_by
    for shell in _SHELL:
        text = text.removeprefix(shell)
    return " ".join(text.removesuffix("# buildkit").split())


def tree(layers: tuple[LayerContents, ...]) -> dict[str, Placed]:
    """What a container sees: upper layers replace and, by whiteouts, delete (image-spec, layer.md, "Whiteouts")."""
    seen: dict[str, Placed] = {}
    for number, layer in enumerate(layers):
        packages = layer.listing.packages
        if gone := set(_deleted(layer.listing)):
            seen = {path: placed for path, placed in seen.items() if gone.isdisjoint(_ways(path))}
        for file in layer.listing.files:
            if not _is_whiteout(file.path):
                seen[file.path] = Placed(file, number, packages[file.owner] if file.owner != NOBODY else None)
    for path in [path for path in seen if "/__pycache__/" in path]:
        if (source := seen.get(_source(path))) and seen[path].owner is None:
            seen[path] = msgspec.structs.replace(seen[path], owner=source.owner)
    return seen


def _deleted(listing: Listing) -> Iterator[str]:
    """The paths of lower layers that this one takes away; an opaque folder's are all that were in it."""
    for file in listing.files:
        parent, _, name = file.path.rpartition("/")
        if name == _OPAQUE:
            yield parent
        elif name.startswith(_WHITEOUT):
            yield f"{parent}/{name.removeprefix(_WHITEOUT)}".lstrip("/")


def _ways(path: str) -> Iterator[str]:
    """A path and every folder on the way to it, the root as ""."""
    yield path
    while path:
        path = path.rpartition("/")[0]
        yield path


def _is_whiteout(path: str) -> bool:
    return path.rpartition("/")[2].startswith(_WHITEOUT)


def _source(path: str) -> str:
    """The Python file that a bytecode file was compiled from (PEP 3147)."""
    folder, _, name = path.rpartition("/__pycache__/")
    return f"{folder}/{name.partition('.')[0]}.py"
