"""`build -f Dockerfile`: another program builds it, and the image lands in the same store."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tiffin.api.building.initialise import image_name
from tiffin.api.machine.home import Home
from tiffin.engine.builders import Request, build_dockerfile, find_builder
from tiffin.errors import NotFoundError
from tiffin.oci.copy import copy
from tiffin.oci.image import Image, read_image
from tiffin.oci.reference import Reference
from tiffin.progress import step
from tiffin.store.archive import ArchiveStore


def build(request: Request, *, tag: str = "", builder: str = "", home: Home | None = None) -> str:
    """Have docker, podman or buildah build a Dockerfile, keep and name the image, and return `name@digest`."""
    home = home or Home.of()
    for path in (request.dockerfile, request.folder):
        if not path.exists():
            raise NotFoundError(f"no {path}", "name the file with `-f` and the folder it is built in")
    reference = Reference.parse(tag or image_name(request.folder.resolve().name))
    home.sweep()
    home.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dockerfile-", dir=home.cache) as scratch:
        archive = build_dockerfile(find_builder(builder), request, Path(scratch))
        image = take(archive, home, reference)
    return str(Reference(registry=reference.registry, repository=reference.repository, digest=image.descriptor.digest))


def take(archive: Path, home: Home, reference: Reference) -> Image:
    """Copy the one image of an archive into the store and name it."""
    with step("take", reference.tagged):
        source = ArchiveStore(archive)
        image = read_image(source, source.only())
        copy(source, home.store, image.descriptor)
    home.store.tag(reference.tagged, image.descriptor)
    return image
