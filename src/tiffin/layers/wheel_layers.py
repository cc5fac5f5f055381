"""Wheels in, one layer out, without compressing anything.

A wheel's members are raw DEFLATE streams with their CRC-32 and size beside them, and a gzip file may be many members.
So a layer is, file after file, a small member with the tar header and the wheel's own stream as a member: each is
inflated once, to check it and to hash the diff ID. The layer is a function of the wheels and `LAYOUT_VERSION`; no
interpreter, clock or machine has a part in it.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from tiffin.errors import ConflictError
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.layers.wheel import Wheel, WheelMember, WheelSource
from tiffin.layers.wheel_names import normal_name
from tiffin.layers.write import Links, write_layer
from tiffin.oci.store import Ingests


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """A path that several wheels bring; `same` says that all of them bring the same bytes."""

    path: str
    wheels: tuple[str, ...]
    same: bool


def wheel_layer(wheels: Sequence[WheelSource], store: Ingests, links: Links = ()) -> Layer:
    """Write the layer of one wheel, or of a bucket of several in whatever order they come.

    Wheels that bring the same path must share a layer (`conflicts` finds them), so that layers stay disjoint: there
    the wheel whose name comes last provides it. Raises IntegrityError for a wheel that is not what it should be.
    """
    with contextlib.ExitStack() as stack:
        entries: dict[str, Entry] = {}
        for source in _in_order(wheels):
            wheel = stack.enter_context(Wheel.opened(source))
            entries |= {entry.path: entry for entry in wheel.entries()}
        return write_layer(entries.values(), store, links=links)


def conflicts(wheels: Sequence[WheelSource]) -> list[Conflict]:
    """Find every path that more than one wheel brings, by path."""
    found: dict[str, dict[str, WheelMember]] = defaultdict(dict)
    for source in _in_order(wheels):
        with Wheel.opened(source) as wheel:
            for file in wheel.files():
                found[file.path][source.name] = file
    return [
        Conflict(path=path, wheels=tuple(files), same=len(set(files.values())) == 1)
        for path, files in sorted(found.items())
        if len(files) > 1
    ]


def _in_order(wheels: Sequence[WheelSource]) -> list[WheelSource]:
    """Sort wheels by name, refusing the same one twice."""
    named = {normal_name(wheel.name): wheel for wheel in wheels}
    if len(named) != len(wheels):
        twice = sorted(wheel.name for wheel in wheels if named[normal_name(wheel.name)] is not wheel)
        raise ConflictError(f"several versions of one package in an image: {', '.join(twice)}")
    return [named[name] for name in sorted(named)]
