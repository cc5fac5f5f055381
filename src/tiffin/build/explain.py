"""Explain an image: what every byte of it is, and which of them it could do without. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from tiffin.build.contents import ImageContents, Placed, tree
from tiffin.build.conversion import Report
from tiffin.build.cuda import CUDA
from tiffin.engine.declared import DRIVER, GPU, Data, declared_data
from tiffin.layers.listing import WHEEL, Package
from tiffin.layers.slim import KINDS, spare
from tiffin.oci.digest import Digest
from tiffin.oci.platform import Platform

MOST = 10
"""Rows of a list that only shows the biggest."""


class PackageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A package with its files: `unpacked` is in bytes and counts its bytecode too."""

    kind: str
    name: str
    version: str
    files: int
    unpacked: int


class LayerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A layer: `packed` is what is pushed and pulled, `unpacked` the tar, both in bytes."""

    layer: str
    packed: int
    unpacked: int
    files: int
    digest: Digest
    diff_id: Digest
    packages: list[PackageRow]


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """A file, and the layer it is in."""

    path: str
    size: int
    layer: str


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """The same content in several places, or the same library in several builds; `wasted` is all but the biggest."""

    name: str
    wasted: int
    paths: list[str]


class Saving(msgspec.Struct, frozen=True, kw_only=True):
    """What leaving some files of wheels out would save; `packed` is estimated from their layers' compression."""

    what: str
    files: int
    unpacked: int
    packed: int


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """An image, explained; every size is in bytes."""

    name: str
    digest: Digest
    platform: Platform
    packed: int
    unpacked: int
    files: int
    layers: list[LayerRow]
    packages: list[PackageRow]
    biggest: list[FileRow]
    repeated: list[Repeated]
    libraries: list[Repeated]
    hidden: list[FileRow]
    """Files that a layer above replaces or deletes: they are moved all the same."""
    slim: list[Saving]
    cuda: str = ""
    """The release of CUDA that its wheels were made for; empty where they use none."""
    driver: str = ""
    """The versions of NVIDIA's driver that run it."""
    gpu: str = ""
    """Whether its model needs a GPU: required, optional, none; empty where nobody says."""
    data: list[Data] = []
    """What must be mounted for it to start."""
    conversion: Report | None = None
    """How its model compares with the one that it was converted from, where it was."""


def explain(image: ImageContents) -> Explanation:
    """Say what every byte of the image is."""
    seen = tree(image.layers)
    layers = _layers(image, seen)
    hidden = sorted(_hidden(image, seen), key=lambda row: (-row.size, row.path))
    return Explanation(
        name=image.name,
        digest=image.digest,
        platform=Platform(os=image.config.os, architecture=image.config.architecture),
        packed=image.documents + sum(layer.packed for layer in layers),
        unpacked=sum(layer.unpacked for layer in layers),
        files=len(seen),
        layers=layers,
        packages=_packages(seen.values()),
        biggest=_biggest(image, seen),
        repeated=_repeated(seen, _content),
        libraries=[row for row in _repeated(seen, _library) if len(_digests(row, seen)) > 1],
        hidden=hidden,
        slim=_slim(layers, seen),
        cuda=image.config.config.labels.get(CUDA, ""),
        driver=image.config.config.labels.get(DRIVER, ""),
        gpu=image.config.config.labels.get(GPU, ""),
        data=declared_data(image.config.config.labels),
    )


def _layers(image: ImageContents, seen: dict[str, Placed]) -> list[LayerRow]:
    own: list[list[Placed]] = [[] for _ in image.layers]
    for placed in seen.values():
        own[placed.layer].append(placed)
    return [
        LayerRow(
            layer=layer.title,
            packed=layer.descriptor.size,
            unpacked=layer.listing.unpacked,
            files=len(layer.listing.files),
            digest=layer.descriptor.digest,
            diff_id=layer.diff_id,
            packages=_packages(placed),
        )
        for layer, placed in zip(image.layers, own, strict=True)
    ]


def _packages(files: Iterable[Placed]) -> list[PackageRow]:
    """Sum files up by their package, the biggest first."""
    sums: dict[Package, list[int]] = {}
    for placed in files:
        if placed.owner:
            counted = sums.setdefault(placed.owner, [0, 0])
            counted[0] += 1
            counted[1] += placed.file.size
    rows = [
        PackageRow(kind=package.kind, name=package.name, version=package.version, files=files, unpacked=size)
        for package, (files, size) in sums.items()
    ]
    return sorted(rows, key=lambda row: (-row.unpacked, row.name))


def _biggest(image: ImageContents, seen: dict[str, Placed]) -> list[FileRow]:
    ranked = sorted(seen.items(), key=lambda item: (-item[1].file.size, item[0]))
    return [
        FileRow(path=path, size=placed.file.size, layer=image.layers[placed.layer].title)
        for path, placed in ranked[:MOST]
    ]


def _repeated(seen: dict[str, Placed], key: Callable[[str, Placed], str]) -> list[Repeated]:
    """Group files by a key ("" belongs to none) and keep what is there more than once, the most wasteful first."""
    groups: dict[str, list[str]] = {}
    for path, placed in sorted(seen.items()):
        if name := key(path, placed):
            groups.setdefault(name, []).append(path)
    rows = [_repetition(paths, seen) for paths in groups.values() if len(paths) > 1]
    return sorted(rows, key=lambda row: (-row.wasted, row.name))


def _repetition(paths: list[str], seen: dict[str, Placed]) -> Repeated:
    sizes = [seen[path].file.size for path in paths]
    name = _library(paths[0], seen[paths[0]]) or paths[0].rpartition("/")[2]
    return Repeated(name=name, wasted=sum(sizes) - max(sizes), paths=paths)


def _digests(row: Repeated, seen: dict[str, Placed]) -> set[str]:
    return {seen[path].file.digest for path in row.paths}


def _content(_: str, placed: Placed) -> str:
    return placed.file.digest if placed.file.size else ""


def _library(path: str, placed: Placed) -> str:
    """Name a shared library without its version and the hash that auditwheel gave it; "" for any other file."""
    found = re.fullmatch(r"(lib[^/]+?)(?:-[0-9a-f]{8,})*\.so[0-9.]*", path.rpartition("/")[2])
    return found[1] if found and placed.file.size and ".cpython-" not in path else ""


def _hidden(image: ImageContents, seen: dict[str, Placed]) -> Iterator[FileRow]:
    for number, layer in enumerate(image.layers):
        for file in layer.listing.files:
            if file.size and ((placed := seen.get(file.path)) is None or placed.layer != number):
                yield FileRow(path=file.path, size=file.size, layer=layer.title)


def _slim(layers: list[LayerRow], seen: dict[str, Placed]) -> list[Saving]:
    """Sum up what `slim = true` leaves out, or somewhat more: tests that are imported after all stay."""
    found: dict[str, list[Placed]] = {what: [] for what in KINDS}
    of_wheels = [path for path, placed in seen.items() if placed.owner and placed.owner.kind == WHEEL]
    for path, what in spare(of_wheels).items():
        found[what].append(seen[path])
    return [
        Saving(
            what=what,
            files=len(files),
            unpacked=sum(placed.file.size for placed in files),
            packed=round(sum(placed.file.size * _ratio(layers[placed.layer]) for placed in files)),
        )
        for what, files in found.items()
    ]


def _ratio(layer: LayerRow) -> float:
    return layer.packed / max(layer.unpacked, 1)
