"""Which bytecode goes into which layer; what a wheel's sources compiled to is remembered by wheel and interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from tiffin.build.recipes import LAYOUT, WheelBytecode
from tiffin.build.wheels import wheel_sources
from tiffin.build.workshop import Workshop
from tiffin.layers.bytecode import bytecode, wheel_bytecode
from tiffin.layers.compiler import Compiler, Source
from tiffin.layers.entry import Entry
from tiffin.layers.wheel_names import normal_name
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.packages.pins import WheelPin

_NOT_IMPORTED = {"test", "tests", "idle_test", "lib2to3", "site-packages", "dist-packages"}
"""Folders below the standard library that are none of it, or that nothing at run time imports."""


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """One compiled file of a wheel; `data` is empty where the source does not compile."""

    path: str
    data: bytes


def compiled_wheels(recipe: WheelBytecode, workshop: Workshop, start: Callable[[], Compiler]) -> list[Entry]:
    """The bytecode of a recipe's wheels; those not compiled before are compiled by what `start` gives."""
    wheels = sorted({*recipe.wheels, *recipe.yields_to}, key=lambda wheel: normal_name(wheel.name))
    known = {wheel: workshop.bytecode.get(_key(recipe, wheel), list[Piece]) for wheel in wheels}
    new = [wheel for wheel, pieces in known.items() if pieces is None]
    if new:
        compiled = wheel_bytecode(wheel_sources(new, workshop), start(), recipe.python)
        for wheel, found in zip(new, compiled, strict=True):
            known[wheel] = pieces = [Piece(path, data) for path, data in found.items()]
            workshop.bytecode.put(_key(recipe, wheel), pieces)
    return list(_entries({wheel: pieces or [] for wheel, pieces in known.items()}, recipe).values())


def _entries(compiled: Mapping[WheelPin, Sequence[Piece]], recipe: WheelBytecode) -> dict[str, Entry]:
    """Take each path from the last wheel that has its source, though that may not compile; see `wheel_layer`."""
    entries: dict[str, Entry] = {}
    for wheel, pieces in compiled.items():
        for piece in pieces:
            entries.pop(piece.path, None)
            if piece.data and wheel in recipe.wheels:
                entries[piece.path] = Entry.of(piece.path, piece.data)
    return entries


def compiled_library(entries: Iterable[Entry], library: str, python: str, compiler: Compiler) -> list[Entry]:
    """The bytecode of those of these entries that are the standard library in a folder."""
    modules = [e for e in entries if e.path.startswith(f"{library}/") and not _NOT_IMPORTED & set(e.path.split("/"))]
    return compiled_files(modules, python, compiler)


def compiled_files(entries: Iterable[Entry], python: str, compiler: Compiler) -> list[Entry]:
    """The bytecode of the Python files among these entries, which lie where they will be imported from."""
    sources = (
        Source(path=entry.path, name=f"/{entry.path}", data=_content(entry))
        for entry in entries
        if entry.path.endswith(".py") and entry.open
    )
    return bytecode(sources, compiler, python)


def _key(recipe: WheelBytecode, wheel: WheelPin) -> Digest:
    return Digest.of(encode(["bytecode", LAYOUT, recipe.interpreter, recipe.python, wheel.sha256]))


def _content(entry: Entry) -> bytes:
    if entry.open is None:
        return b""
    with entry.open() as stream:
        return stream.read()
