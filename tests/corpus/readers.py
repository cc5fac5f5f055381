"""Who reads hostile files: Tiffin's own ways in, each from a path here into a folder of its own."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from tiffin.errors import IntegrityError, TiffinError
from tiffin.layers.deb import opened
from tiffin.layers.debian_root import package_entries
from tiffin.layers.listing import list_layer
from tiffin.layers.unpack import unpack_layer
from tiffin.layers.wheel import WheelSource
from tiffin.layers.wheel_layers import wheel_layer
from tiffin.layers.write import write_layer
from tiffin.models.allowed_imports import AllowedImports
from tiffin.models.approve import approve
from tiffin.models.detect import read_model
from tiffin.oci.copy import copy
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, LAYER_GZIP
from tiffin.store.archive import ArchiveStore
from tiffin.store.layout import LayoutStore
from tiffin.store.memory import MemoryStore

_INFLATED = 64 << 20
WHOLE: dict[Path, Digest] = {}
"""Digests of layers before they were cut off."""


def _wheel(path: Path, target: Path) -> None:
    wheel_layer([WheelSource.named(path)], LayoutStore(target))


def _deb(path: Path, target: Path) -> None:
    with opened([path], target) as debs:
        write_layer(package_entries(debs), LayoutStore(target))


def _layer(path: Path, target: Path) -> None:
    """Unpack it, and list it whatever became of that."""
    media_type = LAYER_GZIP if path.suffix == ".gz" else LAYER
    diff_id = WHOLE.get(path) or _diff_id(path)
    with path.open("rb") as blob:
        try:
            unpack_layer(blob, media_type, target, diff_id)
        finally:
            _listed(path, media_type, diff_id)


def _listing(path: Path, target: Path) -> None:
    """List a layer without unpacking it."""
    del target
    with path.open("rb") as blob:
        list_layer(blob, LAYER_GZIP, Digest.of(b"another"))


def _listed(path: Path, media_type: str, diff_id: Digest) -> None:
    with path.open("rb") as blob:
        try:
            list_layer(blob, media_type, diff_id)
        except IntegrityError as error:
            assert error.message  # noqa: PT017 - what unpacking says is what counts


def _diff_id(path: Path) -> Digest:
    """The digest that an honest maker would have said, as far as one can know it of a damaged file."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = zlib.decompressobj(31).decompress(data, _INFLATED)
        except zlib.error:
            data = b""
    return Digest.of(data)


def _archive(path: Path, target: Path) -> None:
    store = ArchiveStore(path)
    copy(store, LayoutStore(target), store.only())


def _image(path: Path, target: Path) -> None:
    """Read an archive into memory."""
    del target
    store = ArchiveStore(path)
    copy(store, MemoryStore(), store.only())


def _layout(path: Path, target: Path) -> None:
    store = LayoutStore(path)
    for descriptor in store.names().values():
        copy(store, LayoutStore(target), descriptor)


def _model(path: Path, target: Path) -> None:
    del target
    model = read_model(path)
    for file in model.files:
        approve(file, model.format, AllowedImports())


def _weights(path: Path, target: Path) -> None:
    """Read a file that a class of the user's own will load, whatever it is."""
    del target
    approve(path, "python", AllowedImports())


READERS: dict[str, Callable[[Path, Path], None]] = {
    "wheel": _wheel,
    "deb": _deb,
    "layer": _layer,
    "listing": _listing,
    "archive": _archive,
    "image": _image,
    "layout": _layout,
    "model": _model,
    "weights": _weights,
}


def every_cut(reader: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    """Read each beginning of a file, or of the one file in a folder that was named last; all must be refused."""

    def read(path: Path, target: Path) -> None:
        file = path if path.is_file() else path / ("index.json" if (path / "index.json").exists() else "saved_model.pb")
        whole, wrong = file.read_bytes(), []
        WHOLE[path] = _diff_id(file)
        for end in range(len(whole)):
            file.write_bytes(whole[:end])
            place = target / str(end)
            place.mkdir()
            try:
                reader(path, place)
                wrong.append(f"{end} is taken")
            except TiffinError as error:
                if path.name not in error.message and "layer " not in error.message:
                    wrong.append(f"{end} is not named: {error.message}")
        file.write_bytes(whole)
        if wrong:
            raise AssertionError(wrong[:5])
        raise IntegrityError("every cut was refused")

    return read


READERS |= {f"every cut: {name}": every_cut(reader) for name, reader in READERS.items()}
