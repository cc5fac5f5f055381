"""Build from what is on this machine, or say everything that is missing at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from tiffin.build.plan import BuildPlan
from tiffin.build.recipes import (
    AnyRecipe,
    Base,
    BaseLayer,
    Interpreter,
    Packages,
    PythonArchive,
    Server,
    StandardBytecode,
    Wheels,
)
from tiffin.build.workshop import Workshop
from tiffin.errors import UnavailableError
from tiffin.layers.layer import Layer
from tiffin.oci.documents import Descriptor
from tiffin.packages.base_image import PythonBuild
from tiffin.packages.pins import DebPin, WheelPin

if TYPE_CHECKING:
    from tiffin.packages.debian.debian import Debian
    from tiffin.packages.pypi.uv_index import UvIndex

PinT = TypeVar("PinT", DebPin, WheelPin, PythonBuild)
_MOST = 20
"""Missing files that are named; of more their number is told."""


class Caches(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine keeps of each kind of file; the first two are opened when they are needed."""

    index: Callable[[], UvIndex]
    debian: Callable[[], Debian]
    archive: Callable[[PythonBuild], Path | None]


def offline(workshop: Workshop, plan: BuildPlan, caches: Caches) -> Workshop:
    """Return the workshop with no network: where a file is missing, UnavailableError names all that the plan lacks."""

    def kept(pins: Sequence[PinT], keeps: Callable[[PinT], Path | None]) -> list[Path]:
        found = [path for pin in pins if (path := keeps(pin))]
        if len(found) < len(pins):
            raise _missing([*(str(pin) for pin in pins if not keeps(pin)), *lacking()])
        return found

    def lacking() -> list[str]:
        recipes = [recipe for recipe in plan.recipes if not _is_made(recipe, workshop)]
        return [name for recipe in recipes for name in _lacks(recipe, caches, workshop)]

    def bring(_: Descriptor) -> None:
        raise _missing(lacking())

    return msgspec.structs.replace(
        workshop,
        wheels=lambda pins: kept(pins, caches.index().kept),
        debs=lambda pins: kept(pins, caches.debian().kept),
        bring=bring,
        archive=lambda build: kept([build], caches.archive)[0],
    )


def _lacks(recipe: AnyRecipe, caches: Caches, workshop: Workshop) -> list[str]:
    """Name what is not here of what a layer is made of."""
    match recipe:
        case Wheels():
            return [str(pin) for pin in (*recipe.wheels, *recipe.yields_to) if not caches.index().kept(pin)]
        case Server():
            return [str(pin) for pin in recipe.wheels if not caches.index().kept(pin)]
        case Base() | Interpreter() | Packages() | StandardBytecode():
            return [str(pin) for pin in recipe.packages if not caches.debian().kept(pin)]
        case PythonArchive(archive=archive):
            return [] if caches.archive(archive) else [str(archive)]
        case BaseLayer(layer=layer):
            return [] if workshop.store.exists(layer.descriptor) else [f"the base's {layer.digest}"]
        case _:
            return []


def _is_made(recipe: AnyRecipe, workshop: Workshop) -> bool:
    known = workshop.layers.get(recipe.key, Layer)
    return known is not None and workshop.store.exists(known.descriptor)


def _missing(lacking: Sequence[str]) -> UnavailableError:
    names = sorted(set(lacking))
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    message = f"offline, and these are not in the caches: {', '.join(names[:_MOST])}{more}"
    return UnavailableError(message, "build once without `--offline`, or copy the cache folder of a machine that did")
