"""Build from what is on this machine, or say everything that is missing at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from tiffin.build.plan import BuildPlan
from tiffin.build.recipes import AnyRecipe, Base, Interpreter, Packages, Server, StandardBytecode, Wheels
from tiffin.build.workshop import Workshop
from tiffin.errors import UnavailableError
from tiffin.layers.layer import Layer
from tiffin.packages.pins import DebPin, WheelPin

if TYPE_CHECKING:
    from tiffin.packages.debian.debian import Debian
    from tiffin.packages.pypi.uv_index import UvIndex

PinT = TypeVar("PinT", DebPin, WheelPin)
_MOST = 20
"""Missing files that are named; of more their number is told."""


def offline(
    workshop: Workshop, plan: BuildPlan, index: Callable[[], UvIndex], debian: Callable[[], Debian]
) -> Workshop:
    """Return the workshop with no network: where a file is missing, UnavailableError names all that the plan lacks."""

    def kept(pins: Sequence[PinT], keeps: Callable[[PinT], Path | None]) -> list[Path]:
        found = [path for pin in pins if (path := keeps(pin))]
        if len(found) < len(pins):
            raise _missing([pin for pin in pins if not keeps(pin)], lacking())
        return found

    def lacking() -> list[WheelPin | DebPin]:
        wheels, debs = _needed(plan, workshop)
        return [pin for pin in wheels if not index().kept(pin)] + [pin for pin in debs if not debian().kept(pin)]

    return msgspec.structs.replace(
        workshop,
        wheels=lambda pins: kept(pins, index().kept),
        debs=lambda pins: kept(pins, debian().kept),
    )


def _needed(plan: BuildPlan, workshop: Workshop) -> tuple[list[WheelPin], list[DebPin]]:
    """Return the packages of the layers that are still to be made."""
    wheels: list[WheelPin] = []
    debs: list[DebPin] = []
    for recipe in plan.recipes:
        if _is_made(recipe, workshop):
            continue
        if isinstance(recipe, Wheels):
            wheels += (*recipe.wheels, *recipe.yields_to)
        elif isinstance(recipe, Server):
            wheels += recipe.wheels
        elif isinstance(recipe, Base | Interpreter | Packages | StandardBytecode):
            debs += recipe.packages
    return wheels, debs


def _is_made(recipe: AnyRecipe, workshop: Workshop) -> bool:
    known = workshop.layers.get(recipe.key, Layer)
    return known is not None and workshop.store.exists(known.descriptor)


def _missing(asked: Sequence[WheelPin | DebPin], lacking: Sequence[WheelPin | DebPin]) -> UnavailableError:
    names = sorted({str(pin) for pin in (*asked, *lacking)})
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    message = f"offline, and these are not in the caches: {', '.join(names[:_MOST])}{more}"
    return UnavailableError(message, "build once without `--offline`, or copy the cache folder of a machine that did")
