"""Wheels in, one layer out, without compressing anything.

A wheel's members are raw DEFLATE streams with their CRC-32 and size beside them, and a gzip file may be many members.
So a layer is, file after file, a small member with the tar header and the wheel's own stream as a member: each is
inflated once, to check it and to hash the diff ID. The layer is a function of the wheels; no interpreter, clock or
machine has a part in it.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence

from tiffin.errors import ConflictError
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.layers.libraries import Gathering, watched
from tiffin.layers.overlap import Overlap
from tiffin.layers.wheel import Wheel, WheelMember, WheelSource
from tiffin.layers.wheel_names import SITE, normal_name
from tiffin.layers.write import Links, moved, write_layer
from tiffin.oci.store import Ingests

_SHOWN = 3
"""Paths that an overlap names."""


def wheel_layer(
    wheels: Sequence[WheelSource],
    store: Ingests,
    *,
    yields_to: Sequence[WheelSource] = (),
    slim: bool = False,
    links: Links = (),
    gathering: Gathering | None = None,
) -> Layer:
    """Write the layer of one wheel, or of a bucket of several in whatever order they come.

    Of wheels that bring the same path the last by name provides it. `yields_to` are wheels of other layers: what they
    bring too, and come later by name, is left out, so that layers are disjoint. `slim` leaves out what serving does
    not need (`layers.slim`). `gathering` sees what the layer holds for the dynamic linker. Raises IntegrityError for a
    wheel that is not what it should be.
    """
    elsewhere = {normal_name(wheel.name) for wheel in yields_to}
    with contextlib.ExitStack() as stack:
        entries: dict[str, Entry] = {}
        for source in _in_order([*wheels, *yields_to]):
            brought = stack.enter_context(Wheel.opened(source, slim=slim)).entries()
            for entry in brought:
                entries.pop(entry.path, None)
            if normal_name(source.name) not in elsewhere:
                entries |= {entry.path: entry for entry in brought}
        placed = (moved(entry, links) for entry in entries.values())
        return write_layer(watched(placed, gathering or Gathering()), store)


def overlaps(wheels: Sequence[WheelSource]) -> tuple[Overlap, ...]:
    """Find the paths that several wheels bring, one value for all paths that the same wheels share.

    Raises ConflictError where what is a file in one wheel is a folder in another.
    """
    shared: dict[tuple[str, ...], list[tuple[str, bool]]] = defaultdict(list)
    for path, files in sorted(_shared(wheels).items()):
        shared[tuple(files)].append((path.removeprefix(f"{SITE}/"), len(set(files.values())) > 1))
    return tuple(
        Overlap(
            wheels=names,
            paths=len(paths),
            differing=sum(differs for _, differs in paths),
            first=tuple(path for path, differs in paths if differs)[:_SHOWN],
        )
        for names, paths in sorted(shared.items())
    )


def _shared(wheels: Sequence[WheelSource]) -> dict[str, dict[str, WheelMember]]:
    """Every path that more than one wheel brings, with what each of these brings there, by name."""
    owner: dict[str, tuple[str, WheelMember]] = {}
    folders: dict[str, str] = {}
    shared: dict[str, dict[str, WheelMember]] = {}
    for source in _in_order(wheels):
        with Wheel.opened(source) as wheel:
            for file in wheel.files():
                first = owner.setdefault(file.path, (source.name, file))
                if first[0] != source.name:
                    shared.setdefault(file.path, dict([first]))[source.name] = file
                for folder in _new_folders(file.path, folders):
                    folders[folder] = source.name
    for path in sorted(owner.keys() & folders.keys()):
        raise ConflictError(
            f"{path} is a file in {owner[path][0]} and a folder in {folders[path]}",
            "remove one of these packages from your requirements",
        )
    return shared


def _new_folders(path: str, known: Container[str]) -> Iterator[str]:
    """Yield the folders above a path, from below, up to the first that is known."""
    while (path := path.rpartition("/")[0]) and path not in known:
        yield path


def _in_order(wheels: Sequence[WheelSource]) -> list[WheelSource]:
    """Sort wheels by name, refusing the same one twice."""
    named = {normal_name(wheel.name): wheel for wheel in wheels}
    if len(named) != len(wheels):
        twice = sorted(wheel.name for wheel in wheels if named[normal_name(wheel.name)] is not wheel)
        raise ConflictError(f"several versions of one package in an image: {', '.join(twice)}")
    return [named[name] for name in sorted(named)]
