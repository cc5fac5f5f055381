"""`inspect`: what an image or a container is, whole."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tiffin.api.containers.verbs import engine_of
from tiffin.api.images.sbom import document
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.build.carried import LOCK, PROJECT
from tiffin.build.conversion import report_of
from tiffin.build.plan import SERVICE
from tiffin.build.provenance import provenance_of
from tiffin.engine.declared import declared_data, declared_gpu
from tiffin.errors import NotFoundError
from tiffin.oci.documents import encode
from tiffin.oci.image import Image


def inspect(name: str) -> str:
    """Return what is known of a container, or of an image where there is no container of that name, as JSON."""
    home = Home.of()
    try:
        container = engine_of(home).find(name)
    except NotFoundError:
        image = _image(home, name)
        parts = {
            "digest": image.descriptor.digest,
            "manifest": msgspec.Raw(image.manifest_bytes),
            "config": msgspec.Raw(image.config_bytes),
            **_needs(image.config.config.labels),
            **_conversion(home, image),
        }
        return _pretty(parts)
    return _pretty({"id": container.id, "spec": container.spec, "state": container.state()})


CARRIED = {"project": PROJECT, "lock": LOCK, "service": SERVICE}
"""Documents that lie in an image, and where."""


def show(name: str, what: str, home: Home | None = None) -> str:
    """Return a document that an image carries, or its `provenance`; raises NotFoundError where there is none."""
    home = home or Home.of()
    image = find_image(home.store, name)
    if what in CARRIED:
        return document(home.store, image, CARRIED[what], name)
    for statement in provenance_of(home.store, image.descriptor):
        return msgspec.json.format(statement).decode() + "\n"
    raise NotFoundError(f"nothing here says where {name} comes from", "images that `tiffin build` made here have it")


def _needs(labels: Mapping[str, str]) -> dict[str, object]:
    """What the image declares that it needs of the machine."""
    found = {"data": declared_data(labels), "gpu": declared_gpu(labels).value}
    return {key: value for key, value in found.items() if value}


def _conversion(home: Home, image: Image) -> dict[str, object]:
    """How the model compares with what it was converted from."""
    report = report_of(home.store, image.descriptor)
    return {"conversion": report} if report else {}


def _image(home: Home, name: str) -> Image:
    try:
        return find_image(home.store, name)
    except NotFoundError as error:
        raise NotFoundError(
            f"no container and no image is called {name!r}", "`tiffin ps -a` and `tiffin images` list them"
        ) from error


def _pretty(parts: Mapping[str, object]) -> str:
    return msgspec.json.format(encode(parts)).decode()
