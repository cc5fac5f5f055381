"""Images that are another image with layers of files on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.api.machine.home import Home
from tiffin.build.plan import CREATED
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.oci.documents import History, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image


class Above(msgspec.Struct, frozen=True, kw_only=True):
    """A layer to put above an image, and what it is called."""

    title: str
    layer: Layer


def layered(below: Image, layers: Sequence[Above], run: RunConfig, home: Home) -> Image:
    """Put layers above an image, in their order, and keep what comes of it in the store."""
    made = [above.layer for above in layers]
    written = [History(created=CREATED, created_by="tiffin", comment=above.title) for above in layers]
    config = ImageConfig(
        created=CREATED,
        architecture=below.config.architecture,
        os=below.config.os,
        variant=below.config.variant,
        config=run,
        rootfs=RootFS(diff_ids=[*below.config.rootfs.diff_ids, *(layer.diff_id for layer in made)]),
        history=[*below.config.history, *written],
    )
    descriptors = [*below.manifest.layers, *(layer.descriptor for layer in made)]
    image = Image.make(config, descriptors, dict(below.manifest.annotations))
    image.write(home.store)
    return image


def files_at(place: str, files: Mapping[str, Path]) -> list[Entry]:
    """Files of this machine as entries below a folder of an image."""
    return [
        Entry.file(
            f"{place.strip('/')}/{name}",
            path.stat().st_size,
            partial(_opened, path),
            executable=bool(path.stat().st_mode & 0o111),
        )
        for name, path in sorted(files.items())
    ]


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")
