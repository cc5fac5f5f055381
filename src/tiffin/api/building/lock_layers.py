"""What a lock knows of layers: a build takes them where their blobs are, and completes the lock with what it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from tiffin.build.recipes import AnyRecipe, BaseLayer, Code, Metadata, Weights
from tiffin.layers.layer import Layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER_GZIP, Descriptor
from tiffin.packages.lock import LayerRecord, Lock, with_layers
from tiffin.store.records import Records

T = TypeVar("T")
_NOT_RECORDED = (BaseLayer, Weights, Code, Metadata)
"""Layers that the lock pins as they are, and those that no lock decides."""


class LockedLayers(Records):
    """The layers this machine remembers, and those that a project's lock records, for that project alone."""

    def __init__(self, remembered: Records, locked: Mapping[Digest, LayerRecord]) -> None:
        """Look into `remembered` first; what is new is remembered there."""
        self._remembered = remembered
        self._locked = locked

    def get(self, key: Digest, kind: type[T]) -> T | None:
        """Return what is remembered or locked under the key, or None; whether its blob is there is not asked."""
        if found := self._remembered.get(key, kind):
            return found
        record = self._locked.get(key)
        layer = _layer(record) if record else None
        return layer if isinstance(layer, kind) else None

    def put(self, key: Digest, value: object) -> None:
        """Remember a layer."""
        self._remembered.put(key, value)


def completed(lock: Lock, recipes: Sequence[AnyRecipe], blobs: Sequence[Descriptor], layers: Records) -> Lock:
    """Return the lock with the layers that its packages became; the same lock where it has them already."""
    made = [
        (recipe, blob) for recipe, blob in zip(recipes, blobs, strict=True) if not isinstance(recipe, _NOT_RECORDED)
    ]
    if {blob.digest for _, blob in made} == {record.digest for record in lock.layers.values()}:
        return lock
    known = {recipe.key: layers.get(recipe.key, Layer) for recipe, _ in made}
    return with_layers(lock, {key: LayerRecord.of(layer) for key, layer in known.items() if layer})


def _layer(record: LayerRecord) -> Layer:
    blob = Descriptor(media_type=LAYER_GZIP, digest=record.digest, size=record.size)
    return Layer(descriptor=blob, diff_id=record.diff_id, unpacked_size=record.unpacked_size)
