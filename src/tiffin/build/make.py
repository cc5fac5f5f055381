"""Make the image of a plan: what has been made before is taken, the rest is made at once, in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tiffin.build.plan import CREATED, BuildPlan
from tiffin.build.recipes import ROOTS, AnyRecipe, Metadata
from tiffin.build.workshop import Workshop
from tiffin.layers.layer import Layer
from tiffin.oci.documents import Descriptor, History, ImageConfig, RootFS
from tiffin.oci.image import Image, read_image
from tiffin.progress import parallel, step

METADATA = "dev.tiffin.metadata"
"""The annotation that names the small layer with what the image says of itself, for who reads manifests alone."""

MakesLayer = Callable[[AnyRecipe, Workshop, Sequence[Layer]], Layer]
"""Makes one layer in a workshop, given the layers that the image's own interpreter runs from."""


def make(plan: BuildPlan, workshop: Workshop) -> Image:
    """Make the image, or take the one that this plan gave before; it is whole and in the store when this returns."""
    with step("image", plan.name) as running:
        known = workshop.images.get(plan.digest, Descriptor)
        if known and _whole(known, workshop):
            running.cached = True
            return read_image(workshop.store, known)
        image = assemble(plan, make_layers(plan.recipes, workshop))
        image.write(workshop.store)
        _attach(plan, image, workshop)
        workshop.images.put(plan.digest, image.descriptor)
        return image


def _whole(known: Descriptor, workshop: Workshop) -> bool:
    """Whether the image and all its layers are still in the store."""
    store = workshop.store
    if not store.exists(known):
        return False
    manifest = read_image(store, known).manifest
    return all(store.exists(part) for part in [manifest.config, *manifest.layers])


def make_layer(recipe: AnyRecipe, workshop: Workshop, base: Sequence[Layer]) -> Layer:
    """Make one layer, or take the one that its recipe gave before."""
    known = workshop.layers.get(recipe.key, Layer)
    if known and workshop.store.exists(known.descriptor):
        return known
    from tiffin.build.produce import produce  # noqa: PLC0415 - a build with nothing to make starts without the makers

    with step("layer", recipe.title):
        layer = produce(recipe, workshop, base)
    workshop.layers.put(recipe.key, layer)
    return layer


def make_layers(recipes: Sequence[AnyRecipe], workshop: Workshop, make_one: MakesLayer = make_layer) -> list[Layer]:
    """Make every layer: first what the image's own interpreter is made of, then the rest, which may need it."""
    last = max((number for number, recipe in enumerate(recipes) if isinstance(recipe, ROOTS)), default=-1)
    roots = recipes[: last + 1]
    base = parallel(lambda recipe: make_one(recipe, workshop, ()), roots)
    return parallel(lambda recipe: make_one(recipe, workshop, base), recipes)


def _attach(plan: BuildPlan, image: Image, workshop: Workshop) -> None:
    from tiffin.build.provenance import attach_provenance  # noqa: PLC0415 - only where an image is new

    attach_provenance(workshop.store, plan, image.descriptor)


def assemble(plan: BuildPlan, layers: Sequence[Layer]) -> Image:
    """Put the layers of a plan together, bottom first; the topmost of most has what the image says of itself."""
    config = ImageConfig(
        created=CREATED,
        architecture=plan.platform.architecture,
        os=plan.platform.os,
        variant=plan.platform.variant,
        config=plan.run,
        rootfs=RootFS(diff_ids=[layer.diff_id for layer in layers]),
        history=[History(created=CREATED, created_by="tiffin", comment=recipe.title) for recipe in plan.recipes],
    )
    topmost = {METADATA: layers[-1].descriptor.digest} if isinstance(plan.recipes[-1], Metadata) else {}
    annotations = plan.annotations | topmost
    return Image.make(config, [layer.descriptor for layer in layers], annotations)
