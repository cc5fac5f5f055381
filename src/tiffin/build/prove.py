"""The start-up proof of a finished image: what cannot start is refused before it has a name.

What a layer holds for the dynamic linker is read once and remembered by its diff ID; a proof is remembered by the
layers and wheels it was about, so that an edit or a retrain does not ask again.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from tiffin.build.plan import PYTHON, BuildPlan
from tiffin.build.recipes import (
    AnyRecipe,
    Code,
    LibraryBytecode,
    Metadata,
    Server,
    StandardBytecode,
    Venv,
    Weights,
    WheelBytecode,
    Wheels,
)
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor, encode
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.progress import step
from tiffin.store.records import Records

PROOF = 1
"""Raised whenever the same layers would be read or judged otherwise."""
_WITHOUT_ELF = (Venv, StandardBytecode, LibraryBytecode, WheelBytecode, Weights, Metadata)


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """Where layers are, and what is remembered of them."""

    store: Store
    libraries: Records
    proofs: Records


class Proven(msgspec.Struct, frozen=True):
    """A proof that was found good."""

    layers: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that the linker may look into."""

    recipe: AnyRecipe
    blob: Descriptor
    diff_id: Digest


def prove(plan: BuildPlan, image: Image, archive: Archive, allowed: Collection[str] = ()) -> None:
    """Raise ConfigError for an image that cannot start, with every reason and its fix.

    `allowed` names libraries, or symbol versions, that may be missing.
    """
    layers = zip(plan.recipes, image.manifest.layers, image.config.rootfs.diff_ids, strict=True)
    parts = [Part(recipe=recipe, blob=blob, diff_id=diff) for recipe, blob, diff in layers if _has_elf(recipe)]
    wheels = [wheel for part in parts if isinstance(part.recipe, Wheels | Server) for wheel in part.recipe.wheels]
    about = [sorted(allowed), [part.diff_id for part in parts], [wheel.filename for wheel in wheels]]
    key = Digest.of(encode([PROOF, plan.run.labels[PYTHON], *about]))
    if archive.proofs.get(key, Proven) is None:
        from tiffin.build.trial import hold  # noqa: PLC0415 - a build that was proven before starts without it

        with step("prove", plan.name):
            proven = hold(plan, parts, archive, allowed)
        if proven:
            archive.proofs.put(key, Proven(len(parts)))


def libraries_key(diff_id: Digest) -> Digest:
    """Under which key it is remembered what a layer holds for the dynamic linker."""
    return Digest.of(encode([PROOF, diff_id]))


def _has_elf(recipe: AnyRecipe) -> bool:
    if isinstance(recipe, Code):
        return any(".so" in file.path or file.executable for file in recipe.files)
    return not isinstance(recipe, _WITHOUT_ELF)
