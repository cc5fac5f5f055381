"""What converts a model, and what then serves it: wheels beside those that the model was trained with."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tiffin.errors import ConfigError
from tiffin.packages.index import PackageIndex
from tiffin.packages.lock import Lock
from tiffin.packages.pins import WheelPin
from tiffin.packages.pypi.requirements import Requirements

TOOLS = ("skl2onnx", "onnxmltools", "onnx", "onnxruntime")
SERVED = ("onnxruntime", "numpy")
_PLACE = "[model] convert"


def with_converter(lock: Lock, index: PackageIndex[Requirements, WheelPin], requirements: Requirements) -> Lock:
    """Return the lock with onnxruntime alone for the image, and the model's own packages beside the converter's tools.

    The model's packages stay as they were pinned; of the tools those versions are chosen that go with them, and the
    image gets the onnxruntime and numpy that the conversion was measured with.
    """
    if lock.origins:
        name = next(iter(lock.origins))
        message = f"a model that needs {name}, which is built from source here, is not converted - at `$.model.convert`"
        raise ConfigError(message, "name a wheel of it, or leave `convert` out")
    tools = index.resolve(_asked(requirements, TOOLS, lock.wheels))
    converter = {pin.name: pin for pin in (*tools, *lock.wheels)}
    lines = [f"{name}=={converter[name].version}" for name in SERVED]
    served = index.resolve(_asked(requirements, lines, converter.values()))
    return msgspec.structs.replace(lock, wheels=tuple(sorted(served)), converter=tuple(sorted(converter.values())))


def _asked(requirements: Requirements, lines: Iterable[str], pinned: Iterable[WheelPin]) -> Requirements:
    """Ask for lines among what is pinned already, of the indexes that the project's requirements name."""
    return Requirements(
        wanted=Requirements.of(list(lines), _PLACE).wanted,
        constraints=Requirements.of([f"{pin.name}=={pin.version}" for pin in pinned], _PLACE).wanted,
        settings=requirements.settings,
        prereleases=requirements.prereleases,
    )
