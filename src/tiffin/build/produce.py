"""Make one layer of one recipe."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.build.recipes import (
    AnyRecipe,
    Base,
    Code,
    Interpreter,
    Metadata,
    Server,
    SourceFile,
    StandardBytecode,
    Weights,
    WheelBytecode,
    Wheels,
)
from tiffin.build.server import FRONT
from tiffin.build.workshop import Workshop
from tiffin.errors import ConflictError
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.layers.wheel import Wheel, WheelSource
from tiffin.layers.wheel_names import SITE
from tiffin.layers.write import write_layer
from tiffin.packages.pins import WheelPin


def produce(recipe: AnyRecipe, workshop: Workshop, base: Sequence[Layer]) -> Layer:
    """Make the layer in the workshop's store; `base` are the layers that the image's own interpreter runs from."""
    with contextlib.ExitStack() as open_files:
        match recipe:
            case Base() | Interpreter():
                entries = _debian(recipe, workshop, open_files)
            case Wheels():
                entries = _wheels(recipe.wheels, workshop, open_files)
            case Server():
                entries = _server(recipe, workshop, open_files, base)
            case StandardBytecode():
                entries = _standard_bytecode(workshop, base)
            case WheelBytecode():
                entries = _wheel_bytecode(recipe, workshop, base)
            case Weights():
                return write_layer(_files(recipe.files, workshop), workshop.store, compress=recipe.packed)
            case Code():
                entries = _files(recipe.files, workshop)
            case Metadata():
                entries = [Entry.directory("app"), Entry.directory("models"), *_texts(recipe.texts)]
        return write_layer(entries, workshop.store)


def _wheels(pins: Sequence[WheelPin], workshop: Workshop, open_files: contextlib.ExitStack) -> list[Entry]:
    sources = [
        WheelSource(path=path, name=pin.name, version=pin.version)
        for pin, path in zip(pins, workshop.wheels(pins), strict=True)
    ]
    wheels = [open_files.enter_context(Wheel.opened(source)) for source in sources]
    return [entry for wheel in wheels for entry in wheel.entries()]


def _texts(texts: dict[str, str]) -> Iterator[Entry]:
    return (Entry.of(path, text.encode()) for path, text in texts.items())


def _files(files: Iterable[SourceFile], workshop: Workshop) -> list[Entry]:
    return [
        Entry.file(
            file.path,
            file.size,
            partial(_opened, workshop.sources[file.path], file),
            executable=file.executable,
        )
        for file in files
    ]


def _opened(path: Path, file: SourceFile) -> BinaryIO:
    return io.BufferedReader(_Unchanged(path, file))


class _Unchanged(io.RawIOBase):
    """A file that raises ConflictError at its end when it is not what the plan saw."""

    def __init__(self, path: Path, file: SourceFile) -> None:
        self._path = path
        self._stream = path.open("rb", buffering=0)
        self._expected = file.digest
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] - a buffer is what readers give
        """Read, and check at the end."""
        count = self._stream.readinto(buffer) or 0
        self._hash.update(buffer[:count])
        if not count and self._hash.hexdigest() != self._expected.hex:
            raise ConflictError(f"{self._path} changed while it was packed", "build again when it is quiet")
        return count

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()
