"""Which CUDA the wheels of an image were made for, and the driver it takes to run it. Pure.

A driver runs every release of its own major version and of older ones; the least driver is therefore the major's
(CUDA Compatibility, "Minor Version Compatibility").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from tiffin.engine.declared import DRIVER
from tiffin.packages.pins import WheelPin

CUDA = "dev.tiffin.cuda"
"""The label of an image that names the release of CUDA; `declared.DRIVER` names the drivers that run it."""

_DRIVERS = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
"""CUDA's major version -> the least driver of Linux."""
_RUNTIME = re.compile(r"nvidia-cuda-runtime(?:-cu\d+)?")
_LOCAL = re.compile(r"\+cu(\d\d)(\d+)")
_NAMED = re.compile(r"(?:nvidia-.+-cu|cupy-cuda|jax-cuda|.+-cu)(\d\d)(?:\d*x?|-.+)?")


class Cuda(msgspec.Struct, frozen=True, kw_only=True):
    """A release of CUDA, such as `12.4`, or `12` where nothing says more; and the least driver, where it is known."""

    version: str
    driver: str = ""


def cuda_of(wheels: Iterable[WheelPin]) -> Cuda | None:
    """Say which CUDA these wheels bring or were made for: the newest; None where there is none."""
    found = sorted(version for wheel in wheels for version in _versions(wheel))
    if not found:
        return None
    return Cuda(version=".".join(map(str, found[-1])), driver=_DRIVERS.get(found[-1][0], ""))


def _versions(wheel: WheelPin) -> Iterator[tuple[int, ...]]:
    if _RUNTIME.fullmatch(wheel.name):
        yield tuple(int(part) for part in re.findall(r"\d+", wheel.version)[:2])
    elif local := _LOCAL.search(wheel.version):
        yield int(local[1]), int(local[2])
    elif named := _NAMED.fullmatch(wheel.name):
        yield (int(named[1]),)


def cuda_labels(wheels: Iterable[WheelPin]) -> dict[str, str]:
    """Write what an image says of its CUDA, as labels; none where it has none."""
    cuda = cuda_of(wheels)
    if cuda is None:
        return {}
    return {CUDA: cuda.version, **({DRIVER: f">={cuda.driver}"} if cuda.driver else {})}
