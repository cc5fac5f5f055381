"""The image that `deploy` deploys: found here or in its registry, made of a folder, sent to where it is pulled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tiffin.api.containers.accounts import accounts_for
from tiffin.api.containers.run import stem_of
from tiffin.api.images.sbom import document
from tiffin.api.images.trust import require
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.api.services.targets import KUBERNETES, LOCAL, Place
from tiffin.build.plan import SERVICE
from tiffin.build.separate import FOLDER, separated
from tiffin.deploy.compose import Made, Served, ServiceDocument
from tiffin.deploy.service import Service, Weights
from tiffin.engine.plan import parse_user
from tiffin.errors import ConfigError, DeniedError, NotFoundError, UnavailableError, UnsupportedError
from tiffin.oci.documents import Descriptor, decode
from tiffin.oci.image import Image, read_image
from tiffin.oci.platform import Platform
from tiffin.oci.reference import Reference
from tiffin.oci.store import Referrers
from tiffin.progress import note


class FoundImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image, where it lies, how whoever pulls names it, and what exactly is deployed of it: it, or its index."""

    store: Referrers
    image: Image
    reference: Reference
    descriptor: Descriptor
    pushes: bool = False
    """Whether it goes to its registry when it is deployed."""


def find(what: str, push: str, place: Place, home: Home) -> FoundImage:
    """Find the image that is meant: a project's folder is built first, one that is not here is in its registry.

    `push` is the name by which one that is here goes to a cluster.
    """
    if Path(what).is_dir():
        from tiffin.api.building.build import build_image

        reference, image = build_image(Path(what), tag="", locked=False, home=home)
        if place.target == LOCAL:
            return _here(reference, image, home)
        return to_push(push or str(_pushed_name(reference, image, home)), image, home)
    try:
        image = find_image(home.store, what)
    except NotFoundError:
        if what.startswith("sha256:") or not Reference.parse(what).registry:
            raise
        return _there(Reference.parse(what), place, home)
    reference = Reference.parse(what) if not what.startswith("sha256:") else Reference(repository="image")
    if place.target == KUBERNETES and push:
        return to_push(push, image, home)
    if place.target == KUBERNETES and not reference.registry:
        reference = _pushed_name(reference, image, home)
    return _here(reference, image, home)


def _here(reference: Reference, image: Image, home: Home) -> FoundImage:
    return FoundImage(store=home.store, image=image, reference=reference, descriptor=image.descriptor)


def _there(reference: Reference, place: Place, home: Home) -> FoundImage:
    """Find an image in its registry; a cluster pulls it itself, and of an index takes what suits each node."""
    if place.target == LOCAL:
        from tiffin.api.images.pull import pull_image

        return _here(reference, pull_image(reference, home), home)
    from tiffin.store.remote.store import RemoteStore

    remote = RemoteStore.of(reference)
    descriptor = remote.resolve(reference.digest or reference.tag or "latest")
    try:
        image = read_image(remote, descriptor)
    except UnsupportedError:  # an index with nothing for this machine
        image = read_image(remote, descriptor, Platform(os="linux", architecture="amd64"))
    return FoundImage(store=remote, image=image, reference=reference, descriptor=descriptor)


def to_push(name: str, image: Image, home: Home) -> FoundImage:
    """An image that goes to a registry, under a tag of its own: what may be gone back to must not be overwritten."""
    reference = Reference.parse(name)
    if not reference.registry or reference.digest:
        raise ConfigError(f"{name!r} is no name to push to", "write it as `--push REGISTRY/NAME`, or `…:TAG`")
    if not reference.tag:
        reference = msgspec.structs.replace(reference, tag=image.descriptor.digest.short)
    return msgspec.structs.replace(_here(reference, image, home), pushes=True)


def bring(found: FoundImage, place: Place, home: Home, project: Path | None = None) -> None:
    """Have an image that may be deployed from here lie where the place takes it from.

    Raises DeniedError for one that nobody signed whom `[trust]` asks for, and NotFoundError where a registry lacks it.
    """
    require(found.store, found.descriptor, str(found.reference), project=project)
    if found.pushes:
        _send(found, home)
    elif place.target == KUBERNETES:
        _check_sent(found)


def _send(found: FoundImage, home: Home) -> None:
    """Bring it to the registry that it is named by; where it is there already, nobody needs the right to write."""
    if _is_there(found):
        return
    from tiffin.api.images.push import push

    push(found.descriptor.digest, found.reference.tagged, home=home)


def _pushed_name(reference: Reference, image: Image, home: Home) -> Reference:
    """A name with a registry that the same image has here; raises ConfigError where it has none."""
    for name, descriptor in sorted(home.store.names().items()):
        if descriptor.digest == image.descriptor.digest and (found := Reference.parse(name)).registry:
            return found
    name = reference.name
    raise ConfigError(
        f"{name} is only on this machine, and a cluster pulls from a registry",
        f"say where it goes: `--push REGISTRY/{name}`, or `[deploy] push` in tiffin.toml",
    )


def _check_sent(found: FoundImage) -> None:
    """Ask the registry whether it has the image, where it answers; nodes may reach one that this machine does not."""
    from tiffin.store.remote.store import RemoteStore

    if isinstance(found.store, RemoteStore):
        return
    try:
        there = RemoteStore.of(found.reference).exists(found.descriptor)
    except (UnavailableError, DeniedError) as error:
        note(f"whether {found.reference.name} has it is not known: {error.message}")
        return
    if not there:
        name = found.reference.tagged
        raise NotFoundError(f"{found.reference.name} has no {found.descriptor.digest}", f"`tiffin push {name}` first")


def _is_there(found: FoundImage) -> bool:
    """Say whether the tag means the image, and the registry has all that it is taken apart into."""
    from tiffin.store.remote.store import RemoteStore

    apart = separated(found.image)
    parts = (apart.weights.descriptor, apart.rest.descriptor) if apart else ()
    try:
        there = RemoteStore.of(found.reference).resolve(found.reference.tag)
    except (NotFoundError, UnavailableError, DeniedError):
        return False
    return there.digest == found.descriptor.digest and _has(found, parts)


def weights_of(found: FoundImage) -> Weights | None:
    """The image's weights as an image of their own, where it was built for that and its registry has both."""
    if (apart := separated(found.image)) is None:
        return None
    parts = (apart.weights.descriptor, apart.rest.descriptor)
    if not (found.pushes or _has(found, parts)):
        note(f"{found.reference.name} has no image of the weights alone, which `tiffin push` would bring")
        return None
    weights, rest = (part.digest for part in parts)
    return Weights(image=found.reference.name, digest=weights, path=FOLDER, size=apart.size, rest=rest)


def with_weights(service: Service, found: FoundImage) -> Service:
    """A service whose template says where its weights are alone, if they are anywhere."""
    template = msgspec.structs.replace(service.template, weights=weights_of(found))
    return msgspec.structs.replace(service, template=template)


def _has(found: FoundImage, parts: Sequence[Descriptor]) -> bool:
    """Ask the registry, where it answers."""
    from tiffin.store.remote.store import RemoteStore

    remote = found.store if isinstance(found.store, RemoteStore) else RemoteStore.of(found.reference)
    try:
        return all(remote.exists(part) for part in parts)
    except (UnavailableError, DeniedError):
        return False


def document_of(found: FoundImage) -> ServiceDocument | None:
    """What an image of tiffin's says of how it serves."""
    name = str(found.reference)
    try:
        text = document(found.store, found.image, SERVICE, name)
    except NotFoundError:
        return None
    return decode(ServiceDocument, text.encode(), f"{name}: /{SERVICE}")


def called(said: ServiceDocument | None, found: FoundImage) -> str:
    """What the service is called where nobody says: as its project is."""
    return said.name if said else stem_of(str(found.reference))


def made(found: FoundImage, served: Served) -> Made:
    """What an image says of itself."""
    config = found.image.config.config
    return Made(
        image=found.reference.name,
        digest=found.descriptor.digest,
        labels=config.labels,
        exposed=tuple(config.exposed_ports),
        user=parse_user(config.user, accounts_for(config.user, found.image, found.store)),
        served=served,
        check=config.healthcheck,
    )
