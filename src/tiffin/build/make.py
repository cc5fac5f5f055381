"""Make the image of a plan: what has been made before is taken, the rest is made at once, in parallel."""

from __future__ import annotations

from collections.abc import Sequence

from tiffin.build.plan import CREATED, BuildPlan
from tiffin.build.recipes import AnyRecipe, Base, Interpreter
from tiffin.build.workshop import Workshop
from tiffin.layers.layer import Layer
from tiffin.oci.documents import Descriptor, History, ImageConfig, RootFS
from tiffin.oci.image import Image, read_image
from tiffin.progress import parallel, step


def make(plan: BuildPlan, workshop: Workshop) -> Image:
    """Make the image, or take the one that this plan gave before; it is whole and in the store when this returns."""
    with step("image", plan.name) as running:
        known = workshop.images.get(plan.digest, Descriptor)
        if known and _whole(known, workshop):
            running.cached = True
            return read_image(workshop.store, known)
        image = _assemble(plan, make_layers(plan.recipes, workshop))
        image.write(workshop.store)
        workshop.images.put(plan.digest, image.descriptor)
        return image


def _whole(known: Descriptor, workshop: Workshop) -> bool:
    """Whether the image and all its layers are still in the store."""
    store = workshop.store
    if not store.exists(known):
        return False
    manifest = read_image(store, known).manifest
    return all(store.exists(part) for part in [manifest.config, *manifest.layers])


def make_layers(recipes: Sequence[AnyRecipe], workshop: Workshop) -> list[Layer]:
    """Make every layer: first what the image's own interpreter is made of, then the rest, which may need it."""
    roots = [recipe for recipe in recipes if isinstance(recipe, Base | Interpreter)]
    base = parallel(lambda recipe: _layer(recipe, workshop, ()), roots)
    return parallel(lambda recipe: _layer(recipe, workshop, base), recipes)


def _layer(recipe: AnyRecipe, workshop: Workshop, base: Sequence[Layer]) -> Layer:
    known = workshop.layers.get(recipe.key, Layer)
    if known and workshop.store.exists(known.descriptor):
        return known
    from tiffin.build.produce import produce  # noqa: PLC0415 - a build with nothing to make starts without the makers

    with step("layer", recipe.title):
        layer = produce(recipe, workshop, base)
    workshop.layers.put(recipe.key, layer)
    return layer


def _assemble(plan: BuildPlan, layers: Sequence[Layer]) -> Image:
    config = ImageConfig(
        created=CREATED,
        architecture=plan.platform.architecture,
        os=plan.platform.os,
        variant=plan.platform.variant,
        config=plan.run,
        rootfs=RootFS(diff_ids=[layer.diff_id for layer in layers]),
        history=[History(created=CREATED, created_by="tiffin", comment=recipe.title) for recipe in plan.recipes],
    )
    return Image.make(config, [layer.descriptor for layer in layers], plan.annotations)
