"""The base that every builder starts from: the first layers of an image of tiffin's, as an image of their own."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from tiffin.errors import IntegrityError
from tiffin.layers.layer import Layer
from tiffin.oci.documents import History, ImageConfig, RootFS, decode
from tiffin.oci.image import Image, read_image
from tiffin.store.layout import LayoutStore

TITLES = {"base", "python", "python bytecode"}
NAME = "base:latest"


def write_base(home: Path, image_name: str) -> Image:
    """Make the base of a built image and name it in the same store."""
    store = LayoutStore(home / "data")
    whole = read_image(store, store.resolve(image_name))
    history = list(takewhile(lambda made: made.comment in TITLES, whole.config.history))
    base = Image.make(_config(whole.config, history), whole.manifest.layers[: len(history)], {})
    base.write(store)
    store.tag(NAME, base.descriptor)
    return base


def _config(whole: ImageConfig, history: list[History]) -> ImageConfig:
    diff_ids = whole.rootfs.diff_ids[: len(history)]
    return ImageConfig(architecture=whole.architecture, os=whole.os, history=history, rootfs=RootFS(diff_ids=diff_ids))


def base_files(home: Path) -> list[Path]:
    """Everything in a home that is the base's: blobs, records, unpacked layers; relative to the home."""
    store = LayoutStore(home / "data")
    image = read_image(store, store.resolve(NAME))
    digests = {layer.digest for layer in image.manifest.layers}
    blobs = [store.path(layer) for layer in image.manifest.layers]
    unpacked = [home / "data" / "unpacked" / diff_id.hex for diff_id in image.config.rootfs.diff_ids]
    records = [path for path in (home / "cache" / "records" / "layers").glob("?" * 64) if _digest(path) in digests]
    return [path.relative_to(home) for path in [*blobs, *unpacked, *records] if path.exists()]


def _digest(record: Path) -> str | None:
    """Which layer a record remembers."""
    try:
        return decode(Layer, record.read_bytes(), str(record)).descriptor.digest
    except IntegrityError:
        return None
