"""Making a project's environment image out of its lock, and bytecode with the interpreter in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tiffin.api.building.build import environment_of as packages_of
from tiffin.api.building.build import workshop_of
from tiffin.api.building.lock_layers import LockedLayers
from tiffin.api.building.overlaps import with_overlaps
from tiffin.api.building.projects import Checkout, fresh_lock
from tiffin.api.machine.home import Home
from tiffin.build.foundation import Foundation, foundation_of
from tiffin.build.make import make, make_layers
from tiffin.build.plan import plan_environment
from tiffin.build.prove import Archive, prove
from tiffin.build.workshop import Workshop
from tiffin.errors import TiffinError
from tiffin.layers.bytecode import bytecode
from tiffin.layers.compiler import Source
from tiffin.layers.entry import Entry
from tiffin.oci.image import Image
from tiffin.pipeline.benches.own_code import LANGUAGE
from tiffin.progress import note


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a project's steps stand on: its environment image, and what that is made with."""

    foundation: Foundation
    workshop: Workshop
    image: Image


def ground_of(checkout: Checkout, home: Home, *, locked: bool = False) -> Ground:
    """Have the environment image of a project, and know what it is made with."""
    lock = fresh_lock(checkout, home, locked=locked)
    foundation = foundation_of(lock)
    workshop = workshop_of(checkout, home, lock, foundation.program, {})
    workshop = msgspec.structs.replace(workshop, layers=LockedLayers(workshop.layers, lock.layers))
    lock = with_overlaps(lock, home.records("overlaps"), workshop.wheels)
    plan = plan_environment(checkout.project, packages_of(lock, foundation))
    image = make(plan, workshop)
    archive = Archive(store=home.store, libraries=workshop.libraries, proofs=home.records("proofs"))
    prove(plan, image, archive, checkout.project.image.allow_missing)
    return Ground(foundation=foundation, workshop=workshop, image=image)


def compiled(sources: Mapping[str, Path], ground: Ground, place: str = LANGUAGE) -> dict[str, bytes]:
    """Compile what lies in a folder of an environment, the language if nothing is said, with its interpreter.

    Nothing comes of it where that does not run here.
    """
    found = [Source(path=path, name=f"{place}/{path}", data=here.read_bytes()) for path, here in sources.items()]
    try:
        compiler = ground.workshop.compiler(make_layers(ground.foundation.roots, ground.workshop))
        return {entry.path: read(entry) for entry in bytecode(found, compiler, ground.foundation.python)}
    except TiffinError as error:
        note(f"{place} is compiled wherever it is imported: {error.message}")
        return {}


def read(entry: Entry) -> bytes:
    """The bytes of a file that is to be one of a layer."""
    assert entry.open  # noqa: S101 - bytecode is all files
    with entry.open() as stream:
        return stream.read()
