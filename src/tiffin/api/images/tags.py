"""`tag` and `tags`: more names for images here, and the names that a repository has."""

from __future__ import annotations

from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.errors import ConfigError
from tiffin.oci.reference import Reference
from tiffin.store.remote.store import RemoteStore


def tag(source: str, target: str, *, home: Home | None = None) -> str:
    """Give an image here one more name, and return it with the image's digest; nothing is asked of a registry."""
    home = home or Home.of()
    reference = Reference.parse(target)
    if reference.digest:
        raise ConfigError(f"a name has no digest: {target!r}", "leave the digest out")
    image = find_image(home.store, source)
    home.store.tag(reference.tagged, image.descriptor)
    return f"{reference.name}@{image.descriptor.digest}"


def tags(repository: str) -> list[str]:
    """List the tags of a repository of a registry in order; not every registry gives them so."""
    reference = Reference.parse(repository)
    if reference.tag or reference.digest:
        raise ConfigError(f"{repository!r} is one image", f"name the repository: `tiffin tags {reference.name}`")
    return sorted(RemoteStore.of(reference).tags())
