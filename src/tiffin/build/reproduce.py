"""Make an image again out of what it carries, and say layer by layer whether that comes to the same bytes.

A layer is *identical* where what was made now has its digest, *carried* where a package that it is made of is gone from
the indexes, so that the image's own blob had to stand for it, and else it *differs*.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from tiffin import __version__
from tiffin.build.contents import titles
from tiffin.build.make import METADATA, assemble, make_layer, make_layers
from tiffin.build.plan import BuildPlan
from tiffin.build.recipes import AnyRecipe, Code, Weights
from tiffin.build.workshop import Workshop
from tiffin.errors import IntegrityError, NotFoundError, UnsupportedError
from tiffin.layers.compare import LayerBlob, first_difference
from tiffin.layers.layer import Layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor, encode
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.progress import parallel

IDENTICAL = "identical"
CARRIED = "carried"
DIFFERS = "differs"
VERSION = "dev.tiffin.version"

_PLACES = re.compile(r"^the lock\[\d+\](?:, the lock\[\d+\])*: ")
"""Lines of the lock, which is in the image: nobody can look them up."""

WantedT = TypeVar("WantedT")
FoundT = TypeVar("FoundT")
Slot = tuple[str, int]
"""A layer's title, and how many below it have the same: what pairs a recipe with a layer of the image."""


class GoneError(NotFoundError):
    """No index has a package any more."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one layer, or of the image's settings; `digest` is what the image has, "" for what it lacks."""

    layer: str
    verdict: str
    digest: str = ""
    why: str = ""


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """An image beside the one that it comes to when it is made again; `made_by` and `tiffin` are versions of tiffin."""

    name: str
    digest: Digest
    rebuilt: Digest
    identical: bool
    carried: int
    made_by: str
    tiffin: str
    layers: list[Verdict]


def reproduce(name: str, image: Image, store: Store, plan: BuildPlan, workshop: Workshop) -> Reproduction:
    """Make the plan of an image in an empty workshop, and compare with the image, which lies in `store`."""
    originals = _originals(image)
    slots = _numbered(recipe.title for recipe in plan.recipes)
    bench = _Bench({r.key: originals[s] for r, s in zip(plan.recipes, slots, strict=True) if s in originals}, store)
    layers = make_layers(plan.recipes, workshop, bench.make)
    rebuilt = assemble(plan, layers)
    rows = zip(plan.recipes, slots, layers, strict=True)

    def judge(row: tuple[AnyRecipe, Slot, Layer]) -> Verdict:
        recipe, slot, layer = row
        gone = bench.gone.get(recipe.key, "")
        return _judge(recipe, originals.get(slot), layer, gone, (store, workshop.store))

    verdicts = parallel(judge, rows)
    verdicts += [_extra(slot[0], original) for slot, original in originals.items() if slot not in slots]
    verdicts.append(_settings(image, rebuilt, same=all(one.verdict != DIFFERS for one in verdicts)))
    return Reproduction(
        name=name,
        digest=image.descriptor.digest,
        rebuilt=rebuilt.descriptor.digest,
        identical=all(one.verdict != DIFFERS for one in verdicts),
        carried=sum(one.verdict == CARRIED for one in verdicts),
        made_by=image.config.config.labels.get(VERSION, ""),
        tiffin=__version__,
        layers=verdicts,
    )


def without_gone(workshop: Workshop) -> Workshop:
    """Return the workshop with GoneError for packages that its indexes have no more, or have other bytes for."""

    def watched(fetch: Callable[[WantedT], FoundT]) -> Callable[[WantedT], FoundT]:
        def fetched(wanted: WantedT) -> FoundT:
            try:
                return fetch(wanted)
            except (NotFoundError, IntegrityError, UnsupportedError) as error:
                raise GoneError(_PLACES.sub("", error.message.splitlines()[0]), error.hint) from error

        return fetched

    return msgspec.structs.replace(
        workshop,
        wheels=watched(workshop.wheels),
        debs=watched(workshop.debs),
        bring=watched(workshop.bring),
        archive=watched(workshop.archive),
    )


class _Bench:
    """Makes layers, and takes the image's own where a package is gone; `gone` says for which recipes, and why."""

    def __init__(self, originals: dict[Digest, Layer], store: Store) -> None:
        self._originals = originals
        self._store = store
        self.gone: dict[Digest, str] = {}

    def make(self, recipe: AnyRecipe, workshop: Workshop, base: Sequence[Layer]) -> Layer:
        try:
            return make_layer(recipe, workshop, base)
        except GoneError as error:
            original = self._originals.get(recipe.key)
            if original is None:
                raise
            with self._store.open(original.descriptor) as blob:
                workshop.store.put(original.descriptor, blob)
            workshop.layers.put(recipe.key, original)
            self.gone[recipe.key] = error.message
            return original


def _originals(image: Image) -> dict[Slot, Layer]:
    """The image's layers, bottom first; nobody asks here how big they are when unpacked."""
    layers = image.manifest.layers
    slots = _numbered(titles(image.config.history, len(layers)))
    return {
        slot: Layer(descriptor=descriptor, diff_id=diff_id, unpacked_size=0)
        for slot, descriptor, diff_id in zip(slots, layers, image.config.rootfs.diff_ids, strict=True)
    }


def _numbered(names: Iterator[str] | list[str]) -> list[Slot]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, -1) + 1
        found.append((name, seen[name]))
    return found


def _judge(recipe: AnyRecipe, original: Layer | None, made: Layer, gone: str, stores: tuple[Store, Store]) -> Verdict:
    if original is None:
        return Verdict(layer=recipe.title, verdict=DIFFERS, why="missing")
    verdict, why = _compared(original, made, *stores)
    if verdict == IDENTICAL and gone:
        verdict, why = CARRIED, gone
    elif verdict == IDENTICAL and isinstance(recipe, Weights | Code):
        why = "from the image's own files"
    return Verdict(layer=recipe.title, verdict=verdict, digest=original.descriptor.digest, why=why)


def _compared(original: Layer, made: Layer, store: Store, scratch: Store) -> tuple[str, str]:
    found, expected = original.descriptor, made.descriptor
    if not _is_whole(store, found):
        return DIFFERS, "its blob is damaged: pull or build the image again"
    if found.digest == expected.digest:
        return IDENTICAL, ""
    if original.diff_id == made.diff_id:
        return DIFFERS, "the same files, compressed otherwise"
    with store.open(found) as one, scratch.open(expected) as other:
        try:
            why = first_difference(LayerBlob(one, found.media_type), LayerBlob(other, expected.media_type))
        except IntegrityError as error:
            why = error.message
    return DIFFERS, why or "the same files in another order, or with other times or owners"


def _is_whole(store: Store, descriptor: Descriptor) -> bool:
    with store.open(descriptor) as stream:
        return Digest.of_stream(stream) == descriptor.digest


def _extra(title: str, layer: Layer) -> Verdict:
    return Verdict(layer=title, verdict=DIFFERS, digest=layer.descriptor.digest, why="not expected")


def _settings(image: Image, rebuilt: Image, *, same: bool) -> Verdict:
    """Compare what config and manifest say, but for the layers; `same` says that those are the same."""
    why = _first_difference(_said(image), _said(rebuilt))
    if not why and same and image.descriptor.digest != rebuilt.descriptor.digest:
        why = "the same meaning, written otherwise"
    digest = image.manifest.config.digest
    return Verdict(layer="settings", verdict=DIFFERS if why else IDENTICAL, digest=digest, why=why)


def _said(image: Image) -> dict[str, Any]:
    config = msgspec.json.decode(image.config_bytes)
    annotations = {key: text for key, text in image.manifest.annotations.items() if key != METADATA}
    return {**{key: part for key, part in config.items() if key != "rootfs"}, "annotations": annotations}


def _first_difference(found: Any, expected: Any, place: str = "") -> str:
    """Say at which place two documents begin to differ; "" where they do not."""
    if isinstance(found, dict) and isinstance(expected, dict):
        pairs = [(f"{place}.{key}", found.get(key), expected.get(key)) for key in sorted({*found, *expected})]
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = [(f"{place}[{at}]", *pair) for at, pair in enumerate(zip(found, expected, strict=True))]
    else:
        return "" if found == expected else f"{place.lstrip('.')} is {_short(found)}, not {_short(expected)}"
    return next((why for at, one, other in pairs if (why := _first_difference(one, other, at))), "")


def _short(value: Any) -> str:
    text = encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "…"  # noqa: PLR2004 - a line's width
