"""`sbom`: what an image is made of, as the image itself says."""

from __future__ import annotations

from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.build.sbom import CYCLONEDX, SPDX
from tiffin.errors import NotFoundError
from tiffin.layers.pick import pick
from tiffin.oci.image import Image
from tiffin.oci.store import Store

FORMATS = {"cyclonedx": CYCLONEDX, "spdx": SPDX}
"""The forms there are, and where the image has them."""


def sbom(name: str, form: str = "cyclonedx", home: Home | None = None) -> str:
    """Return an image's bill of materials; raises NotFoundError for an image that carries none."""
    store = (home or Home.of()).store
    return document(store, find_image(store, name), FORMATS[form], name)


def document(store: Store, image: Image, path: str, name: str) -> str:
    """Read a document out of the layer that the image keeps what it knows of itself in."""
    titles = [entry.comment for entry in image.config.history if not entry.empty_layer]
    for title, layer, diff_id in zip(titles, image.manifest.layers, image.config.rootfs.diff_ids, strict=False):
        if title == "metadata":
            with store.open(layer) as blob:
                if (data := pick(blob, diff_id, path)) is not None:
                    return data.decode("utf-8", "replace")
    raise NotFoundError(f"{name} has no /{path}", "images that `tiffin build` made carry one; build it again")
