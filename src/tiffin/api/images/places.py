"""Images that lie in files: a layout's folder, or an archive."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tiffin.config.base import LAYOUT
from tiffin.errors import NotFoundError
from tiffin.oci.documents import Descriptor
from tiffin.oci.store import Store
from tiffin.store.layout import LayoutStore

Source = tuple[Store, Callable[[], Descriptor]]
"""A place with images, and what finds out which of them is meant."""
_OFFICIAL = "docker.io/library/"


def open_files(kind: str, path: Path, name: str) -> Source:
    """Open a layout or an archive; without a name, the one image that is there is meant."""
    if not path.exists():
        raise NotFoundError(f"no {path}", "name a file or a folder that exists")
    if kind == LAYOUT:
        layout = LayoutStore(path)
        return layout, partial(layout.resolve, name) if name else layout.only
    from tiffin.store.archive import ArchiveStore

    archive = ArchiveStore(path)
    plain = name.removeprefix(_OFFICIAL)
    named = plain if plain in archive.names() else f"{plain}:latest"  # archives leave out the tag, or all but the tag
    return archive, partial(archive.resolve, named) if name else archive.only
