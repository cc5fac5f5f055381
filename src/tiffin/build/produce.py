"""Make one layer of one recipe: one function a kind of recipe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from functools import partial, singledispatch

import msgspec

from tiffin.build.bytecode import compiled_files, compiled_library, compiled_wheels
from tiffin.build.environment import account_entries, library_sources, venv_entries
from tiffin.build.prove import libraries_key
from tiffin.build.recipes import (
    Base,
    BaseLayer,
    Code,
    Interpreter,
    LibraryBytecode,
    Metadata,
    Packages,
    PythonArchive,
    Recipe,
    Server,
    SourceFile,
    StandardBytecode,
    Venv,
    Weights,
    WheelBytecode,
    Wheels,
)
from tiffin.build.server import FRONT
from tiffin.build.unchanged import unchanged
from tiffin.build.wheels import wheel_sources
from tiffin.build.workshop import Workshop
from tiffin.layers.deb import opened
from tiffin.layers.debian_root import base_entries, package_entries
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.layers.libraries import Gathering, watched
from tiffin.layers.python_archive import archived_python
from tiffin.layers.wheel import Wheel
from tiffin.layers.wheel_layers import wheel_layer
from tiffin.layers.wheel_names import ARCHIVED_PYTHON, SITE
from tiffin.layers.write import Links, moved, write_layer


@singledispatch
def produce(recipe: Recipe, workshop: Workshop, base: Sequence[Layer]) -> Layer:
    """Make the layer in the workshop's store; `base` are the layers that the image's own interpreter runs from."""
    raise NotImplementedError(type(recipe).__name__, workshop, base)


@produce.register
def _base(recipe: Base, workshop: Workshop, _: Sequence[Layer]) -> Layer:
    with opened(workshop.debs(recipe.packages)) as debs:
        return _linkable(base_entries(debs), workshop)


@produce.register
def _packages(recipe: Packages, workshop: Workshop, _: Sequence[Layer]) -> Layer:
    with opened(workshop.debs(recipe.packages)) as debs:
        return _linkable(package_entries(debs), workshop)


@produce.register
def _interpreter(recipe: Interpreter, workshop: Workshop, _: Sequence[Layer]) -> Layer:
    with opened(workshop.debs(recipe.packages)) as debs:
        entries = [*package_entries(debs), *venv_entries(f"/usr/bin/python{recipe.python}", recipe.python)]
        return _linkable(entries, workshop)


@produce.register
def _base_layer(recipe: BaseLayer, workshop: Workshop, _: Sequence[Layer]) -> Layer:
    given = recipe.layer
    if not workshop.store.exists(given.descriptor):
        workshop.bring(given.descriptor)
    return Layer(descriptor=given.descriptor, diff_id=given.diff_id, unpacked_size=given.unpacked_size)


@produce.register
def _venv(recipe: Venv, workshop: Workshop, base: Sequence[Layer]) -> Layer:
    entries = [*venv_entries(recipe.program, recipe.python), *account_entries(base, workshop.store)]
    return write_layer(entries, workshop.store, links=recipe.links)


@produce.register
def _python_archive(recipe: PythonArchive, workshop: Workshop, _: Sequence[Layer]) -> Layer:
    with archived_python(workshop.archive(recipe.archive), recipe.python, recipe.machine) as entries:
        venv = venv_entries(f"/{ARCHIVED_PYTHON}/bin/python{recipe.python}", recipe.python)
        return _linkable([*entries, *venv], workshop)


@produce.register
def _library_bytecode(recipe: LibraryBytecode, workshop: Workshop, base: Sequence[Layer]) -> Layer:
    modules = library_sources(base, recipe.library, workshop.store)
    entries = compiled_library(modules, recipe.library.lstrip("/"), recipe.python, workshop.compiler(base))
    return write_layer(entries, workshop.store, links=recipe.links)


@produce.register
def _standard_bytecode(recipe: StandardBytecode, workshop: Workshop, base: Sequence[Layer]) -> Layer:
    with opened(workshop.debs(recipe.packages)) as debs:
        library = f"usr/lib/python{recipe.python}"
        entries = compiled_library(package_entries(debs), library, recipe.python, workshop.compiler(base))
    return write_layer(entries, workshop.store)


@produce.register
def _wheels(recipe: Wheels, workshop: Workshop, _: Sequence[Layer]) -> Layer:
    wheels, yields_to = (wheel_sources(pins, workshop) for pins in (recipe.wheels, recipe.yields_to))
    gathering = Gathering()
    layer = wheel_layer(
        wheels, workshop.store, yields_to=yields_to, slim=recipe.slim, links=recipe.links, gathering=gathering
    )
    workshop.libraries.put(libraries_key(layer.diff_id), gathering.libraries())
    return layer


@produce.register
def _wheel_bytecode(recipe: WheelBytecode, workshop: Workshop, base: Sequence[Layer]) -> Layer:
    entries = compiled_wheels(recipe, workshop, partial(workshop.compiler, base))
    return write_layer(entries, workshop.store, links=recipe.links)


@produce.register
def _server(recipe: Server, workshop: Workshop, base: Sequence[Layer]) -> Layer:
    with contextlib.ExitStack() as stack:
        wheels = [stack.enter_context(Wheel.opened(source)) for source in wheel_sources(recipe.wheels, workshop)]
        packages = [_in_front(e) for wheel in wheels for e in wheel.entries() if e.path.startswith(f"{SITE}/")]
        entries = [*_files(recipe.files, workshop), *packages]
        if recipe.interpreter:
            entries += compiled_files(entries, recipe.python, workshop.compiler(base))
        return _linkable(entries, workshop, recipe.links)


@produce.register
def _weights(recipe: Weights, workshop: Workshop, _: Sequence[Layer]) -> Layer:
    return write_layer(_files(recipe.files, workshop), workshop.store, compress=recipe.packed, links=recipe.links)


@produce.register
def _code(recipe: Code, workshop: Workshop, _: Sequence[Layer]) -> Layer:
    return write_layer(_files(recipe.files, workshop), workshop.store, links=recipe.links)


@produce.register
def _metadata(recipe: Metadata, workshop: Workshop, _: Sequence[Layer]) -> Layer:
    texts = [Entry.of(path, text.encode()) for path, text in recipe.texts.items()]
    entries = [Entry.directory("app"), Entry.directory("models"), *texts]
    return write_layer(entries, workshop.store, links=recipe.links)


def _linkable(entries: Iterable[Entry], workshop: Workshop, links: Links = ()) -> Layer:
    """Write a layer, and remember what it holds for the dynamic linker."""
    gathering = Gathering()
    layer = write_layer(watched((moved(entry, links) for entry in entries), gathering), workshop.store)
    workshop.libraries.put(libraries_key(layer.diff_id), gathering.libraries())
    return layer


def _in_front(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, path=FRONT + entry.path.removeprefix(SITE))


def _files(files: Iterable[SourceFile], workshop: Workshop) -> list[Entry]:
    return [
        Entry.file(file.path, file.size, unchanged(workshop.sources[file.path], file), executable=file.executable)
        for file in files
    ]
