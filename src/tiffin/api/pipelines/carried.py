"""What of a project's folder its pipeline can read, for an image that runs it: nothing that nobody named."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tiffin.api.building.projects import Checkout
from tiffin.api.pipelines.layered import files_at
from tiffin.build.included import steps_of
from tiffin.config.pipeline import is_tag
from tiffin.layers.entry import Entry
from tiffin.layers.members import DIRECTORY, SYMLINK
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.keeping.folders import Found, look
from tiffin.progress import note


def carried(checkout: Checkout, graph: Graph, place: str) -> list[Entry]:
    """What is carried of a project, as entries of a layer below `place`: no model, and no key that lies beside it.

    What says how it is built and run, the code of its steps and of its image; and the data that is named in
    `[pipeline]` or is the default of one of its parameters, as it is, so that it is known by the same digest. Data
    that lies elsewhere, or is not there, stays out, and is told of.
    """
    entries = {entry.path: entry for entry in files_at(place, _files(checkout))}
    for name in dict.fromkeys(_data(checkout, graph)):
        if _is_carried(checkout.folder, name):
            entries |= {entry.path: entry for entry in _as_it_is(checkout.folder, name, place)}
    return list(entries.values())


def _files(checkout: Checkout) -> dict[str, Path]:
    folder, project = checkout.folder, checkout.project
    section = project.pipeline
    named = [checkout.file.name, checkout.lock_path.name, project.python.requirements, project.model.training_data]
    named += [path for check in project.check for path in (check.request, check.expect)]
    there = {name: folder / name for name in named if name and (folder / name).is_file()}
    return there | steps_of(folder, project, (section.file, *section.include))


def _data(checkout: Checkout, graph: Graph) -> Iterator[str]:
    """Files and folders that a run reads where nobody says another."""
    section = checkout.project.pipeline
    yield from (watched for watched in section.watch if not is_tag(watched))
    for name, port in graph.parameters.items():
        given = section.arguments.get(name, port.default)
        if not port.is_parameter and given:
            yield from map(str, given if isinstance(given, list) else [given])


def _is_carried(folder: Path, name: str) -> bool:
    path = Path(name)
    elsewhere = path.is_absolute() or ".." in path.parts
    if elsewhere or not (folder / path).exists():
        why = "lies outside of the project" if elsewhere else "is not there"
        note(f"{name} {why}, and so is no part of the image: mount it where the pipeline is run")
        return False
    return True


def _as_it_is(folder: Path, name: str, place: str) -> Iterator[Entry]:
    root = (folder / name).resolve()
    for found in look(root).found:
        path = Path(place.strip("/"), name, found.path).as_posix()
        yield _entry(path, found, root / found.path)


def _entry(path: str, found: Found, here: Path) -> Entry:
    if found.kind == SYMLINK:
        return Entry.symlink(path, found.link)
    if found.kind == DIRECTORY:
        return Entry.directory(path)
    return Entry.file(path, found.size, partial(_opened, here), executable=found.executable)


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")
