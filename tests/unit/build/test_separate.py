"""An image taken apart into its weights and the rest: over the same layers, the same each time."""

from __future__ import annotations

from tiffin.build.make import METADATA
from tiffin.build.plan import WEIGHTS
from tiffin.build.separate import separated
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, History, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image

TITLES = ["base", "weights", "server", "weights", "weights", "code", "metadata"]
"""The first of the weights is a wheel of that name."""


def image(titles: list[str] = TITLES, how: str = "separate") -> Image:
    layers = [Descriptor.of(f"{number} {title}".encode(), LAYER) for number, title in enumerate(titles)]
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RunConfig(user="65532:65532", labels={WEIGHTS: how} if how else {}),
        rootfs=RootFS(diff_ids=[Digest.of(f"{number}".encode()) for number in range(len(titles))]),
        history=[History(created_by="tiffin", comment=title) for title in titles],
    )
    return Image.make(config, layers, {METADATA: str(layers[-1].digest), "org.opencontainers.image.title": "iris"})


def test_weights_and_the_rest_are_all_of_its_layers_in_order() -> None:
    whole, apart = image(), separated(image())
    assert apart
    layers, diffs = whole.manifest.layers, whole.config.rootfs.diff_ids
    assert apart.weights.manifest.layers == layers[3:5]
    assert apart.weights.config.rootfs.diff_ids == diffs[3:5]
    assert apart.rest.manifest.layers == [*layers[:3], *layers[5:]]
    assert apart.rest.config.config == whole.config.config
    assert apart.size == sum(layer.size for layer in layers[3:5])


def test_it_is_the_same_each_time_and_weights_are_the_same_whatever_is_around_them() -> None:
    one, other = separated(image()), separated(image())
    assert one == other
    assert one
    assert METADATA in (one.rest.manifest.annotations or {})
    assert not one.weights.manifest.annotations
    assert not one.weights.config.config.labels


def test_an_image_that_was_not_built_for_it_or_has_no_weights_stays_whole() -> None:
    assert separated(image(how="")) is None
    assert separated(image(["base", "server", "code", "metadata"])) is None
