"""`pull`: bring an image from a registry into the store here."""

from __future__ import annotations

from tiffin.api.images.push import named_parts
from tiffin.api.images.trust import require
from tiffin.api.machine.home import Home
from tiffin.oci.copy import children, copy
from tiffin.oci.image import Image, read_image
from tiffin.oci.reference import Reference
from tiffin.oci.referrers import carry
from tiffin.store.remote.store import RemoteStore


def pull(reference: str, *, home: Home | None = None) -> str:
    """Bring the image of a reference here, for this machine's platform, and return its name with its digest."""
    wanted = Reference.parse(reference)
    image = pull_image(wanted, home or Home.of())
    return f"{wanted.name}@{image.descriptor.digest}"


def pull_image(reference: Reference, home: Home) -> Image:
    """Bring an image here whole, and what speaks of it; it has the reference's name here too, unless that is a digest.

    Raises DeniedError, before anything is moved, where this machine or project requires a signature that it lacks.
    """
    home.sweep()  # a pull that was killed left what it had of small blobs
    remote = RemoteStore.of(reference)
    image = read_image(remote, remote.resolve(reference.digest or reference.tag or "latest"))
    require(remote, image.descriptor, str(reference))
    titles = {descriptor.digest: title for title, descriptor in named_parts(image)}
    copy(remote, home.store, image.descriptor, verb="pull", titles=titles)
    carried = carry(remote, home.store, image.descriptor, verb="pull")
    if reference.tag or not reference.digest:
        home.store.tag(reference.tagged, image.descriptor)
    came = (part.digest for whole in (image.descriptor, *carried) for part in children(home.store, whole))
    home.whereabouts.add(remote.address, came)
    return image
