"""`copy`: bring an image from any place to any other."""

from __future__ import annotations

from pathlib import Path

from tiffin.api.images.places import open_files
from tiffin.api.images.push import deliver
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.config.base import ARCHIVES, LAYOUT, Base, parse_base, split_name
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.oci import copy as graph
from tiffin.oci.documents import Descriptor
from tiffin.oci.image import read_image
from tiffin.oci.reference import Reference
from tiffin.oci.referrers import carry
from tiffin.oci.store import Store
from tiffin.store.layout import LayoutStore
from tiffin.store.remote.store import RemoteStore


def copy(source: str, target: str, *, home: Home | None = None) -> str:
    """Copy an image and what speaks of it, and return what it is called at its target, with its digest.

    Either is `oci:FOLDER:NAME`, or a reference: one with a registry is there, one without is in the store here. A
    source may be an archive too. All platforms are copied, except into the store here, which has this machine's.
    """
    home = home or Home.of()
    end = parse_base(target)
    if end.kind in ARCHIVES:
        raise UnsupportedError(f"{target}: archives are only read", "copy into a layout: `oci:FOLDER:NAME`")
    store, descriptor = _source(source, home)
    if end.kind == LAYOUT:
        return _into_layout(store, descriptor, end, target)
    reference = Reference.parse(target)
    if reference.registry:
        return deliver(store, descriptor, reference, home)
    if reference.digest:
        raise ConfigError(f"a name here has no digest: {target!r}", "leave the digest out")
    home.sweep()
    image = read_image(store, descriptor)
    graph.copy(store, home.store, image.descriptor)
    carry(store, home.store, image.descriptor)
    home.store.tag(reference.tagged, image.descriptor)
    return f"{reference.name}@{image.descriptor.digest}"


def _source(text: str, home: Home) -> tuple[Store, Descriptor]:
    place = parse_base(text)
    if place.kind in {LAYOUT, *ARCHIVES}:
        path, name = split_name(place.where)
        store, resolve = open_files(place.kind, Path(path).expanduser(), name)
        return store, resolve()
    reference = Reference.parse(text)
    if not reference.registry:
        return home.store, find_image(home.store, text).descriptor
    remote = RemoteStore.of(reference)
    return remote, remote.resolve(reference.digest or reference.tag or "latest")


def _into_layout(store: Store, descriptor: Descriptor, end: Base, target: str) -> str:
    path, name = split_name(end.where)
    if not name:
        raise ConfigError(f"{target!r} does not say what the image is called there", f"write it as `{target}:NAME`")
    layout = LayoutStore(Path(path).expanduser())
    layout.sweep()
    graph.copy(store, layout, descriptor)
    carry(store, layout, descriptor)
    layout.tag(name, descriptor)
    return f"{target}@{descriptor.digest}"
