"""Weights in an image of their own, and an image without them: two more manifests over layers that there are. Pure.

Both follow from the image alone, byte for byte, so that nothing has to be remembered: whoever has the image can say
what they are called, and see whether a registry has them.
"""

from __future__ import annotations

import msgspec

from tiffin.build.make import METADATA
from tiffin.build.plan import WEIGHTS
from tiffin.build.recipes import Code, Metadata, Weights
from tiffin.oci.documents import RootFS, RunConfig
from tiffin.oci.image import Image

FOLDER = "/models"


class Separated(msgspec.Struct, frozen=True, kw_only=True):
    """An image as two: its weights, `size` bytes of layers below `/models`, and the rest."""

    weights: Image
    rest: Image
    size: int


def separated(image: Image) -> Separated | None:
    """Take an image apart; None for one that was not built for that, or has no weights."""
    if image.config.config.labels.get(WEIGHTS) != "separate":
        return None
    history = image.config.history
    if len(history) != len(image.manifest.layers) or not (numbers := _weights([made.comment for made in history])):
        return None
    others = [number for number in range(len(history)) if number not in numbers]
    weights, rest = _of(image, numbers, RunConfig()), _of(image, others, image.config.config)
    return Separated(weights=weights, rest=rest, size=sum(layer.size for layer in weights.manifest.layers))


def _weights(titles: list[str]) -> list[int]:
    """The layers with weights: those below code and metadata that are called so; a wheel may be, further down."""
    top = len(titles)
    while top and titles[top - 1] in {Metadata.label, Code.label}:
        top -= 1
    below = top
    while below and titles[below - 1] == Weights.label:
        below -= 1
    return list(range(below, top))


def _of(image: Image, numbers: list[int], run: RunConfig) -> Image:
    """The image of some of the layers."""
    config = msgspec.structs.replace(
        image.config,
        config=run,
        rootfs=RootFS(diff_ids=[image.config.rootfs.diff_ids[number] for number in numbers]),
        history=[image.config.history[number] for number in numbers],
    )
    layers = [image.manifest.layers[number] for number in numbers]
    there = {str(layer.digest) for layer in layers}
    annotations = {
        key: value for key, value in (image.manifest.annotations or {}).items() if key != METADATA or value in there
    }
    if run == RunConfig():
        annotations = {}  # what is said of the service is not of its weights: several services may have them
    return Image.make(config, layers, annotations)
