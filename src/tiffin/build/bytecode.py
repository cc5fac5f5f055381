"""Which bytecode goes into which layer; what a wheel's sources compiled to is remembered by wheel and interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tiffin.build.recipes import LAYOUT, WheelBytecode
from tiffin.build.wheels import wheel_sources
from tiffin.build.workshop import Workshop
from tiffin.layers.bytecode import bytecode, wheel_bytecode
from tiffin.layers.compiler import Compiler, Source
from tiffin.layers.entry import Entry
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.packages.pins import WheelPin

_NOT_IMPORTED = {"test", "tests", "idle_test", "lib2to3", "site-packages", "dist-packages"}
"""Folders below the standard library that are none of it, or that nothing at run time imports."""


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """One compiled file of a wheel."""

    path: str
    data: bytes


def compiled_wheels(recipe: WheelBytecode, workshop: Workshop, start: Callable[[], Compiler]) -> list[Entry]:
    """The bytecode of a recipe's wheels; those not compiled before are compiled by what `start` gives."""
    known = {wheel: workshop.bytecode.get(_key(recipe, wheel), list[Piece]) for wheel in recipe.wheels}
    new = [wheel for wheel, pieces in known.items() if pieces is None]
    if new:
        compiled = wheel_bytecode(wheel_sources(new, workshop), start(), recipe.python)
        for wheel, entries in zip(new, compiled, strict=True):
            known[wheel] = pieces = [Piece(entry.path, _content(entry)) for entry in entries]
            workshop.bytecode.put(_key(recipe, wheel), pieces)
    return [Entry.of(piece.path, piece.data) for pieces in known.values() for piece in pieces or ()]


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
