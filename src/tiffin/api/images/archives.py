"""`save` and `load`: images in one file, for machines without a network."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.durable import renamed, room_in
from tiffin.errors import IntegrityError, NotFoundError, UnsupportedError
from tiffin.oci.copy import copy
from tiffin.oci.digest import CHUNK
from tiffin.oci.documents import Descriptor
from tiffin.oci.image import Image, read_image
from tiffin.oci.reference import Reference
from tiffin.oci.referrers import carry
from tiffin.progress import step
from tiffin.store.archive import ArchiveStore
from tiffin.store.layout import REF_NAME, LayoutStore
from tiffin.store.save import save as write_archive

_PACKERS = {b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
_GZIP = b"\x1f\x8b"
_MAGIC = 6


def save(names: Sequence[str], out: BinaryIO, home: Home | None = None) -> None:
    """Write images, and what speaks of them, as one tar that docker, podman, containerd, skopeo and tiffin read."""
    store = (home or Home.of()).store
    images: dict[str, Image] = {}
    for name in names:
        image = find_image(store, name)
        images |= dict.fromkeys(_names(store, name, image), image)
    with step("save", ", ".join(names)):
        write_archive(store, images, out)


def save_file(names: Sequence[str], path: Path, home: Home | None = None) -> None:
    """Write such a tar to a file, which appears whole or not at all; a pipe or device is written as it is."""
    if not path.parent.is_dir():
        raise NotFoundError(f"no folder {path.parent}", f"make it: `mkdir -p {path.parent}`")
    special = path.exists() and not path.is_file()
    with path.open("wb") if special else renamed(path) as file:
        save(names, file, home)


def load(stream: BinaryIO, shown: str, home: Home | None = None) -> list[str]:
    """Take every image of an archive in and return their names with their digests.

    Every blob is checked by its digest. A name means its image once the image is whole; raises IntegrityError, and
    NotFoundError for a blob that is not there, with the archive's name.
    """
    home = home or Home.of()
    home.sweep()
    with step("load", shown), _on_disk(stream, shown, home) as path:
        try:
            source = ArchiveStore(path, called=shown)
            return [_take(source, found, home) for found in source.images]
        except IntegrityError as error:
            message = error.message if error.message.startswith(shown) else f"{shown}: {error.message}"
            raise IntegrityError(message, error.hint or "save or copy it again") from error


def _names(store: LayoutStore, name: str, image: Image) -> list[str]:
    """What an image is called in the archive: its tag, its tags where its digest is said, or its digest alone."""
    digest = str(image.descriptor.digest)
    if name.startswith("sha256:"):
        return [digest]
    said = Reference.parse(name)
    if not said.digest:
        return [said.tagged]
    known = [tag for tag, found in store.names().items() if found.digest == digest]
    return [tag for tag in known if Reference.parse(tag).name == said.name] or [digest]


def _take(source: ArchiveStore, found: Descriptor, home: Home) -> str:
    if found.artifact_type:  # it speaks of an image
        copy(source, home.store, found)
        home.store.refer(found, found)
        return str(found.digest)
    image = read_image(source, found)
    copy(source, home.store, image.descriptor)
    carry(source, home.store, image.descriptor, verb="load")
    kept = Descriptor(
        media_type=image.descriptor.media_type, digest=image.descriptor.digest, size=image.descriptor.size
    )
    name = found.annotations.get(REF_NAME)
    if name is None:
        return str(kept.digest)
    home.store.tag(name, kept)
    return f"{name}@{kept.digest}"


@contextlib.contextmanager
def _on_disk(stream: BinaryIO, shown: str, home: Home) -> Iterator[Path]:
    """Give the archive as a tar that can be read anywhere: itself, or a copy of what a pipe or gzip has."""
    start = cast("bytes", stream.peek(_MAGIC)[:_MAGIC])  # type: ignore[attr-defined]  # a BufferedReader
    for magic, program in _PACKERS.items():
        if start.startswith(magic):
            raise UnsupportedError(f"{shown} is packed by a program other than gzip", f"`{program} < {shown}` first")
    if stream.seekable() and not start.startswith(_GZIP):
        yield Path(f"/proc/self/fd/{stream.fileno()}")
        return
    home.cache.mkdir(parents=True, exist_ok=True)
    with room_in(home.cache), tempfile.TemporaryFile(dir=home.cache) as copied:
        _unpack(stream, shown, copied) if start.startswith(_GZIP) else shutil.copyfileobj(stream, copied, CHUNK)
        copied.flush()
        yield Path(f"/proc/self/fd/{copied.fileno()}")


def _unpack(stream: BinaryIO, shown: str, target: BinaryIO) -> None:
    from isal import igzip, isal_zlib

    try:
        with igzip.open(stream, "rb") as unpacked:
            shutil.copyfileobj(unpacked, target, CHUNK)
    except (OSError, EOFError, cast("type[Exception]", isal_zlib.error)) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise IntegrityError(f"{shown} is damaged gzip: {error}", "save or copy it again") from error
