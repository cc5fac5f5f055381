"""Images into one tar that everybody reads: an OCI layout (image-spec, image-layout.md) with docker's manifest.json.

Docker's list names the same blobs, compressed as they are, which `docker load` and `podman load` take; containerd and
skopeo read the layout. What speaks of an image, such as a signature, lies among the blobs, where the specification
allows what no list names: skopeo would take an entry of its own for one more image. The bytes depend on the images,
what speaks of them and their names alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import BinaryIO

import msgspec

from tiffin.errors import IntegrityError
from tiffin.layers.entry import Entry
from tiffin.layers.tar import END, header, padding
from tiffin.oci.copy import children
from tiffin.oci.digest import CHUNK, Digest
from tiffin.oci.documents import Descriptor, Index, encode
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.oci.referrers import beside
from tiffin.oci.store import Store
from tiffin.progress import step
from tiffin.store.archive import CONTAINERD_NAME, Saved
from tiffin.store.layout import MARK, REF_NAME


def save(store: Store, images: Mapping[str, Image], out: BinaryIO) -> None:
    """Write images, by name or by digest where they have none, to a stream; raises IntegrityError for damaged blobs."""
    for path, document in documents(images).items():
        _write(out, path, document)
    out.writelines(header(Entry.directory(folder)) for folder in ("blobs", "blobs/sha256"))
    attached = [one for image in images.values() for one in beside(store, image.descriptor)]
    for descriptor in _blobs(images.values(), [blob for one in attached for blob in (one, *children(store, one))]):
        _copy(store, descriptor, out)
    out.write(END)


def documents(images: Mapping[str, Image]) -> dict[str, bytes]:
    """What an archive says of its blobs, by path: first of all, so that it is known before they come."""
    ordered = sorted(images.items())
    names: dict[Digest, list[str]] = {}
    for name, image in ordered:
        names.setdefault(image.descriptor.digest, []).extend([name] if _is_name(name) else [])
    distinct = {image.descriptor.digest: image for _, image in ordered}
    saved = [_saved(image, names[digest]) for digest, image in distinct.items()]
    index = Index(manifests=[_described(name, image.descriptor) for name, image in ordered])
    return {"oci-layout": MARK, "index.json": encode(index), "manifest.json": encode(saved)}


def _is_name(name: str) -> bool:
    return not name.startswith("sha256:")


def _described(name: str, descriptor: Descriptor) -> Descriptor:
    """An image in the layout's index: its name as the specification has it, and whole, as containerd wants it."""
    bare = Descriptor(media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size)
    if not _is_name(name):
        return bare
    return msgspec.structs.replace(bare, annotations={REF_NAME: name, CONTAINERD_NAME: _whole(name)})


def _whole(name: str) -> str:
    """A name with its registry, Docker Hub where none is said, as containerd and docker understand it."""
    reference = Reference.parse(name)
    if reference.registry:
        return name
    return f"docker.io/{name}" if "/" in reference.repository else f"docker.io/library/{name}"


def _saved(image: Image, names: list[str]) -> Saved:
    return Saved(
        config=_path(image.manifest.config),
        repo_tags=names,
        layers=[_path(layer) for layer in image.manifest.layers],
    )


def _blobs(images: Iterable[Image], others: Iterable[Descriptor]) -> list[Descriptor]:
    """Every blob once, by digest."""
    found = {descriptor.digest: descriptor for descriptor in others}
    for image in images:
        for descriptor in (image.descriptor, image.manifest.config, *image.manifest.layers):
            found[descriptor.digest] = descriptor
    return [descriptor for _, descriptor in sorted(found.items())]


def _path(descriptor: Descriptor) -> str:
    return f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.hex}"


def _write(out: BinaryIO, path: str, data: bytes) -> None:
    out.write(header(Entry.of(path, data)) + data + padding(len(data)))


def _copy(store: Store, descriptor: Descriptor, out: BinaryIO) -> None:
    """Write a blob; what is not what its digest says is noticed before the archive is whole."""
    hashed, size = hashlib.sha256(), 0
    detail = descriptor.digest.short
    with store.open(descriptor) as blob, step("save", detail, total=descriptor.size, unit="bytes") as saving:
        out.write(header(Entry.file(_path(descriptor), descriptor.size, lambda: blob)))
        while data := blob.read(CHUNK):
            hashed.update(data)
            size += len(data)
            out.write(data)
            saving.advance(len(data))
    if Digest("sha256", hashed.hexdigest()) != descriptor.digest or size != descriptor.size:
        raise IntegrityError(f"{descriptor.digest}: the stored bytes differ from the digest", "pull or build it again")
    out.write(padding(size))
