"""What an image was made from, as an in-toto statement with SLSA's provenance. Pure: no clock, no host, no address.

in-toto Attestation Framework, spec/v1 (statement.md, resource_descriptor.md); SLSA v1.0, "Provenance". What the two
URIs of ours mean is written in docs/reference/provenance.md. The statement is about the image's digest, so it cannot be
in the image: it is kept beside it, as a manifest whose subject the image is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, assert_never
from urllib.parse import quote

import msgspec

from tiffin import __version__
from tiffin.build.carried import PROJECT
from tiffin.build.conversion import Conversion
from tiffin.build.plan import BuildPlan
from tiffin.build.recipes import (
    LAYOUT,
    AnyRecipe,
    Base,
    BaseLayer,
    Code,
    Interpreter,
    LibraryBytecode,
    Metadata,
    Packages,
    PythonArchive,
    Server,
    SourceFile,
    StandardBytecode,
    Venv,
    Weights,
    WheelBytecode,
    Wheels,
)
from tiffin.build.sbom import deb_url, wheel_url
from tiffin.oci.artifact import attach, attached
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor, encode
from tiffin.oci.store import Referrers
from tiffin.packages.pins import DebPin, WheelPin

STATEMENT = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://tiffin.dev/build-types/image/v1"
LOCAL_BUILDER = "https://tiffin.dev/builders/local"
"""Whoever ran tiffin: nothing is known of the machine, so nothing is claimed of it."""
ANNOTATIONS = {"in-toto.io/predicate-type": PREDICATE_TYPE}


def statement(plan: BuildPlan, image: Digest) -> bytes:
    """Say what an image was made from: the same bytes for the same plan."""
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"project": _project(plan)},
            "internalParameters": {"tiffin": __version__, "layout": LAYOUT, "platform": str(plan.platform)},
            "resolvedDependencies": _unique(plan),
        },
        "runDetails": {"builder": {"id": LOCAL_BUILDER, "version": {"tiffin": __version__}}, "metadata": {}},
    }
    return encode(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": plan.name, "digest": {"sha256": image.hex}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }
    )


def attach_provenance(store: Referrers, plan: BuildPlan, image: Descriptor) -> Descriptor:
    """Keep the statement about an image in the store that has the image."""
    return attach(store, image, STATEMENT, statement(plan, image.digest), ANNOTATIONS)


def provenance_of(store: Referrers, image: Descriptor) -> list[bytes]:
    """Return the statements of provenance that the store has about an image; nobody has signed them."""
    return attached(store, image, STATEMENT, ANNOTATIONS)


def _project(plan: BuildPlan) -> Any:
    """What the user asked for: the project as the image carries it."""
    texts = [recipe.texts[PROJECT] for recipe in plan.recipes if isinstance(recipe, Metadata)]
    return msgspec.Raw(texts[0].encode()) if texts else {}


def _unique(plan: BuildPlan) -> list[dict[str, Any]]:
    """Everything the image is made of, once, in the order of the layers."""
    suite = next((recipe.suite for recipe in plan.recipes if isinstance(recipe, Base)), "")
    found = [part for recipe in plan.recipes for part in _parts(recipe, suite)]
    found += _converted(plan.conversion) if plan.conversion else []
    return list({encode(part): part for part in found}.values())


def _converted(conversion: Conversion) -> Iterator[dict[str, Any]]:
    """What the weights were made of, and by what: none of it is in the image."""
    yield from _files(conversion.model)
    yield from _files([conversion.samples] if conversion.samples else [])
    yield from map(_wheel, conversion.tools)


def _parts(recipe: AnyRecipe, suite: str) -> Iterator[dict[str, Any]]:
    """What one layer is made of; bytecode is made of what lies in the layers below, metadata of all of it."""
    match recipe:
        case Base() | Interpreter() | Packages() | StandardBytecode():
            yield from (_deb(pin, suite) for pin in recipe.packages)
        case Wheels() | WheelBytecode():
            yield from map(_wheel, recipe.wheels)
        case Server():
            yield {"uri": f"pkg:pypi/tiffin@{quote(__version__, safe='-._~')}"}
            yield from _files(recipe.files)
            yield from map(_wheel, recipe.wheels)
        case Weights() | Code():
            yield from _files(recipe.files)
        case BaseLayer(layer=layer):
            yield {"name": "layer of the base image", "digest": {"sha256": layer.digest.hex}}
        case PythonArchive(archive=archive):
            yield {"name": archive.filename, "digest": {"sha256": archive.sha256.hex}}
        case Venv() | LibraryBytecode() | Metadata():
            pass
        case _:
            assert_never(recipe)


def _deb(pin: DebPin, suite: str) -> dict[str, Any]:
    return {"name": pin.path.rpartition("/")[2], "uri": deb_url(pin, suite), "digest": {"sha256": pin.sha256.hex}}


def _wheel(pin: WheelPin) -> dict[str, Any]:
    return {"name": pin.filename, "uri": wheel_url(pin), "digest": {"sha256": pin.sha256.hex}}


def _files(files: Sequence[SourceFile]) -> Iterator[dict[str, Any]]:
    for file in files:
        yield {"name": file.path, "digest": {"sha256": file.digest.hex}}
