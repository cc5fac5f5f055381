"""`inspect`: what an image or a container is, whole."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tiffin.api.containers import engine_of
from tiffin.api.home import Home
from tiffin.api.images import find_image
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
        }
        return _pretty(parts)
    return _pretty({"id": container.id, "spec": container.spec, "state": container.state()})


def _image(home: Home, name: str) -> Image:
    try:
        return find_image(home.store, name)
    except NotFoundError as error:
        raise NotFoundError(
            f"no container and no image is called {name!r}", "`tiffin ps -a` and `tiffin images` list them"
        ) from error


def _pretty(parts: Mapping[str, object]) -> str:
    return msgspec.json.format(encode(parts)).decode()
