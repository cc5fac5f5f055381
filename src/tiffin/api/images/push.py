"""`push`: bring an image to a registry; what is there stays, and what is nearby is mounted."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.build import contents
from tiffin.build.separate import separated
from tiffin.errors import ConfigError, DeniedError, FullError, NotFoundError, TiffinError, UnsupportedError
from tiffin.network import BusyError
from tiffin.oci.copy import AT_ONCE, children, copy
from tiffin.oci.digest import Digest
from tiffin.oci.documents import EMPTY, Descriptor
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.oci.referrers import beside, carry
from tiffin.oci.referrers import title as title_of
from tiffin.oci.store import Store
from tiffin.progress import parallel, step
from tiffin.store.lazy import LazyStore
from tiffin.store.remote.address import Address
from tiffin.store.remote.store import RemoteStore


class State(StrEnum):
    """What a push does with a part of an image."""

    THERE = "there"
    """Nothing: the repository has it."""
    MOUNT = "mount"
    """Asks the registry to take it over from another repository."""
    SEND = "send"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A blob or manifest, what people call it, and what a push does with it; `source` is the repository it is in."""

    state: State
    title: str
    digest: Digest
    size: int
    source: str = ""


class PushPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a push would do: the image, its manifest last, then what speaks of it.

    `moves` and `size` are bytes of what is sent and of all.
    """

    name: str
    digest: Digest
    parts: list[Part]
    moves: int
    size: int


def push(image: str, reference: str = "", *, home: Home | None = None) -> str:
    """Bring an image to a registry, and return its name there with its digest."""
    home = home or Home.of()
    target, found = _meant(image, reference, home)
    titles = {descriptor.digest: title for title, descriptor in named_parts(found)}
    _deliver_separated(found, target, home, titles)
    return deliver(home.store, found.descriptor, target, home, verb="push", titles=titles)


def _deliver_separated(image: Image, target: Reference, home: Home, titles: Mapping[Digest, str]) -> None:
    """Bring what an image is taken apart into: two manifests over the same layers, by tags of their own.

    A tag keeps a registry from sweeping them up; weights that stay as they are have the same one each time.
    """
    if (apart := separated(image)) is None:
        return
    for name, part in (("weights", apart.weights), ("rest", apart.rest)):
        part.write(home.store)
        tag = f"{name}-{part.descriptor.digest.short}"
        deliver(
            home.store,
            part.descriptor,
            msgspec.structs.replace(target, tag=tag, digest=None),
            home,
            verb="push",
            titles=titles,
        )


def plan_push(image: str, reference: str = "", *, home: Home | None = None) -> PushPlan:
    """Ask a registry what of an image it has, and say what a push would do."""
    home = home or Home.of()
    target, found = _meant(image, reference, home)
    remote = open_repository(target, home)
    with step("ask", str(target)):
        parts = _parts(found, remote) + _apart(found, remote) + _beside(home, found, remote)
    return PushPlan(
        name=target.tagged,
        digest=found.descriptor.digest,
        parts=parts,
        moves=sum(part.size for part in parts if part.state is State.SEND),
        size=sum(part.size for part in parts),
    )


def open_repository(reference: Reference, home: Home, *, beside: RemoteStore | None = None) -> RemoteStore:
    """Open a repository to write to; what other repositories of its registry have, such as one `beside`, is mounted."""
    host = Address.of(reference).host
    known = home.whereabouts.nearby(host)
    first = [beside.address.repository] if beside and beside.address.host == host else []
    remote = RemoteStore.of(
        reference, writing=True, nearby=lambda digest: [*first, *known(digest)], bookmarks=home.bookmarks
    )
    remote.turns = home.turns
    return remote


def deliver(
    source: Store,
    descriptor: Descriptor,
    target: Reference,
    home: Home,
    *,
    verb: str = "copy",
    titles: Mapping[Digest, str] = {},
) -> str:
    """Copy an image or an index, and what speaks of it, into a registry, and return its name there with its digest.

    The name comes last: who asks for it then finds the signatures too.
    """
    if target.digest not in {None, descriptor.digest}:
        raise ConfigError(f"{target} names another digest than {descriptor.digest}", "leave the digest out")
    remote = open_repository(target, home, beside=_remote(source))
    copy(source, remote, descriptor, verb=verb, titles=titles)
    carried = carry(source, remote, descriptor, verb=verb, spared=_not_taken)
    if target.tag or not target.digest:
        _tag(remote, target.tag or "latest", descriptor)
    sent = (part.digest for whole in (descriptor, *carried) for part in children(source, whole))
    home.whereabouts.add(remote.address, sent)
    return f"{target.name}@{descriptor.digest}"


def _remote(source: Store) -> RemoteStore | None:
    """The repository that content comes from, if it does come from one."""
    origin = source.behind.store if isinstance(source, LazyStore) else source
    return origin if isinstance(origin, RemoteStore) else None


def _not_taken(error: TiffinError) -> bool:
    """Say whether a registry that took an image will not take what speaks of it, however often it is asked."""
    return not isinstance(error, BusyError | FullError)


def _tag(remote: RemoteStore, tag: str, descriptor: Descriptor) -> None:
    """Let a tag mean the image; one that does already is not written again, since some registries fix them."""
    with contextlib.suppress(NotFoundError, UnsupportedError):
        if remote.resolve(tag).digest == descriptor.digest:
            return
    remote.tag(tag, descriptor)


def _meant(image: str, reference: str, home: Home) -> tuple[Reference, Image]:
    target = Reference.parse(reference or image)
    if not target.registry:
        hint = f"say where it goes: `tiffin push {image} REGISTRY/{target.tagged}`; Docker Hub is `docker.io`"
        raise ConfigError(f"{str(target)!r} names no registry", hint)
    return target, find_image(home.store, image)


def named_parts(image: Image) -> list[tuple[str, Descriptor]]:
    """Every part of an image once, the manifest last, with what people call it."""
    names = contents.titles(image.config.history, len(image.manifest.layers))
    layers = {layer.digest: (title, layer) for title, layer in zip(names, image.manifest.layers, strict=True)}
    return [*layers.values(), ("config", image.manifest.config), ("manifest", image.descriptor)]


def _parts(image: Image, remote: RemoteStore) -> list[Part]:
    """Ask for every part, unless the manifest is there: then so is all that it names."""
    named = named_parts(image)
    if remote.exists(image.descriptor):
        return [_part(State.THERE, *name) for name in named]
    return parallel(lambda name: _asked(remote, *name), named, workers=AT_ONCE)


def _apart(image: Image, remote: RemoteStore) -> list[Part]:
    """Ask for what the image is taken apart into: of that only documents are anything new."""
    apart = separated(image)
    both = (("the weights alone", apart.weights), ("the rest", apart.rest)) if apart else ()
    named = [
        (f"{title} of {name}", descriptor)
        for name, part in both
        for title, descriptor in (("config", part.manifest.config), ("manifest", part.descriptor))
    ]
    return parallel(lambda name: _asked(remote, *name), named, workers=AT_ONCE)


def _beside(home: Home, image: Image, remote: RemoteStore) -> list[Part]:
    """Ask for what speaks of the image: documents, each with its manifest after it."""
    named = []
    for one in beside(home.store, image.descriptor):
        documents = [below for below in children(home.store, one) if below.digest != EMPTY.digest]
        named += [(title_of(one), document) for document in documents] + [(f"manifest of {title_of(one)}", one)]
    return parallel(lambda name: _asked(remote, *name), named, workers=AT_ONCE)


def _asked(remote: RemoteStore, title: str, descriptor: Descriptor) -> Part:
    if remote.exists(descriptor):
        return _part(State.THERE, title, descriptor)
    source = remote.mountable(descriptor)
    if source and _has(remote.sibling(source), descriptor):
        return _part(State.MOUNT, title, descriptor, source)
    return _part(State.SEND, title, descriptor)


def _has(store: RemoteStore, descriptor: Descriptor) -> bool:
    try:
        return store.exists(descriptor)
    except DeniedError:
        return False


def _part(state: State, title: str, descriptor: Descriptor, source: str = "") -> Part:
    return Part(state=state, title=title, digest=descriptor.digest, size=descriptor.size, source=source)
