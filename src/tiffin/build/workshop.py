"""What a build works with: where layers go, what is remembered, and where files come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiffin.layers.layer import Layer
from tiffin.oci.documents import Descriptor
from tiffin.oci.store import WritableStore
from tiffin.packages.base_image import PythonBuild
from tiffin.packages.pins import DebPin, WheelPin
from tiffin.store.records import Records

if TYPE_CHECKING:
    from tiffin.layers.compiler import Compiler


class Workshop(msgspec.Struct, frozen=True, kw_only=True):
    """The rim of a build, made by whoever asks for it.

    `bring` lets the store have a blob of the base image, `archive` gives the file that an interpreter comes in.
    `sources` maps paths in the image to files here; `compiler` runs the interpreter that some layers hold, and
    `bytecode` remembers what was compiled; `libraries` remembers what layers hold for the dynamic linker.
    """

    store: WritableStore
    layers: Records
    images: Records
    wheels: Callable[[Sequence[WheelPin]], list[Path]]
    debs: Callable[[Sequence[DebPin]], list[Path]]
    bring: Callable[[Descriptor], None]
    archive: Callable[[PythonBuild], Path]
    compiler: Callable[[Sequence[Layer]], Compiler]
    bytecode: Records
    libraries: Records
    sources: Mapping[str, Path]
