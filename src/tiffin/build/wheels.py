"""The wheels of a recipe, fetched."""

from __future__ import annotations

from collections.abc import Sequence

from tiffin.build.workshop import Workshop
from tiffin.layers.wheel import WheelSource
from tiffin.packages.pins import WheelPin


def wheel_sources(pins: Sequence[WheelPin], workshop: Workshop) -> list[WheelSource]:
    """Fetch wheels, and say what each should be."""
    return [
        WheelSource(path=path, name=pin.name, version=pin.version)
        for pin, path in zip(pins, workshop.wheels(pins), strict=True)
    ]
