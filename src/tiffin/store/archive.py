"""Images in one tar file: what `docker save` and `podman save` write, and `tiffin save`, read as a store.

Two forms, told apart by what is in them: an OCI layout in a tar ("oci-archive"; image-spec, image-layout.md), and
docker's own ("docker-archive"; moby, image/spec/v1.2.md), whose manifest.json names a config and layers. For the second
an OCI manifest is made, over the same config and layer bytes; whatever is read is checked by its digest where it lands.
"""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from tiffin.errors import ConfigError, IntegrityError, NotFoundError, UnsupportedError
from tiffin.layers.members import FILE, SYMLINK, Tar, shown
from tiffin.oci.digest import Digest
from tiffin.oci.documents import (
    DOCUMENTS,
    LAYER,
    LAYER_GZIP,
    Descriptor,
    ImageConfig,
    Index,
    decode_foreign,
)
from tiffin.oci.image import DOCUMENT_LIMIT, Image
from tiffin.oci.reference import Reference
from tiffin.oci.referrers import Speaks
from tiffin.store.layout import REF_NAME

MEMBERS = 100_000
"""Members an archive may have: an image has some hundred."""
CONTAINERD_NAME = "io.containerd.image.name"
"""The annotation in which containerd, and docker since 25, keep an image's whole name."""
_GZIP = b"\x1f\x8b"


class Saved(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One image of docker's manifest.json."""

    config: str
    layers: list[str]
    repo_tags: list[str] = []


class Extent(msgspec.Struct, frozen=True):
    """Where in the file a member's bytes are."""

    offset: int
    size: int


class ArchiveStore:
    """A store of images in a tar file; it can be read and not be written."""

    def __init__(self, path: Path, called: str = "") -> None:
        """Look through the archive, which errors name as it is called; raises IntegrityError for what is none."""
        self.path = path
        self.called = called or str(path)
        try:
            self._members = _members(path)
        except (IntegrityError, UnsupportedError) as error:
            raise type(error)(f"{self.called}: {error.message}", error.hint or "save the image again") from error
        self._blobs: dict[Digest, Extent] = {}
        self._made: dict[Digest, bytes] = {}
        self._speaking: list[tuple[Digest, Descriptor]] | None = None
        self.images: list[Descriptor] = []
        """What can be copied out, in the archive's order; named ones have the name as an annotation."""
        if "index.json" in self._members:
            self._read_layout()
        elif "manifest.json" in self._members:
            self._read_docker()
        else:
            raise IntegrityError(
                f"{self.called} has neither an index.json nor a manifest.json", "save an image with `docker save`"
            )

    def exists(self, descriptor: Descriptor) -> bool:
        """Say whether the content is here, by its size; its digest is checked by whoever reads it."""
        if descriptor.digest in self._made:
            return len(self._made[descriptor.digest]) == descriptor.size
        return descriptor.digest in self._blobs and self._blobs[descriptor.digest].size == descriptor.size

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Open the content for reading; raises NotFoundError where it is absent."""
        if descriptor.digest in self._made:
            return io.BytesIO(self._made[descriptor.digest])
        if descriptor.digest not in self._blobs:
            raise NotFoundError(f"{self.called} has no blob {descriptor.digest}", "save the whole image again")
        return cast("BinaryIO", _Section(self.path, self._blobs[descriptor.digest]))

    def put(self, descriptor: Descriptor, stream: BinaryIO) -> None:  # noqa: ARG002 - the seam's signature
        """Refuse: an archive is only read."""
        raise UnsupportedError(f"{self.called} is an archive, which is only read", "copy into a layout instead")

    def referrers(self, subject: Descriptor) -> list[Descriptor]:
        """Return the manifests that have this subject, each with its artifact type and annotations.

        They are found among the blobs, which the archive need not list.
        """
        if self._speaking is None:
            self._speaking = [found for digest, extent in self._blobs.items() for found in self._speaks(digest, extent)]
        return [found for spoken_of, found in self._speaking if spoken_of == subject.digest]

    def refer(self, manifest: Descriptor, subject: Descriptor) -> None:  # noqa: ARG002 - the seam's signature
        """Refuse: an archive is only read."""
        raise UnsupportedError(f"{self.called} is an archive, which is only read", "copy into a layout instead")

    def names(self) -> dict[str, Descriptor]:
        """Every name and what it means."""
        return {image.annotations[REF_NAME]: image for image in self.images if REF_NAME in image.annotations}

    def resolve(self, name: str) -> Descriptor:
        """Return what the name means; raises NotFoundError."""
        names = self.names()
        if name not in names:
            raise NotFoundError(f"no image named {name} in {self.called}", f"it has: {', '.join(names) or 'no names'}")
        return names[name]

    def only(self) -> Descriptor:
        """Return the one image that is here; raises UnsupportedError where there are several."""
        if len({image.digest for image in self.images}) != 1:
            there = ", ".join(self.names()) or f"{len(self.images)} without names"
            raise UnsupportedError(f"{self.called} has not one image: {there}", "save one image alone")
        return self.images[0]

    def _read_layout(self) -> None:
        for name, extent in self._members.items():
            folder, _, hex_ = name.rpartition("/")
            if folder == "blobs/sha256":
                with suppress(ConfigError):  # a file that is no blob
                    self._blobs[Digest.parse(f"sha256:{hex_}")] = extent
        index = decode_foreign(Index, self._text("index.json"), f"{self.called}: index.json")
        self.images = [self._called(image) for image in index.manifests]

    def _called(self, image: Descriptor) -> Descriptor:
        """Give an image of a layout the name it has here; docker's and containerd's say the whole one elsewhere."""
        said = image.annotations.get(CONTAINERD_NAME) or image.annotations.get(REF_NAME)
        return _named(image, self._name(said)) if said else image

    def _name(self, said: str) -> str:
        try:
            return Reference.parse(local(said)).tagged
        except ConfigError as error:
            raise IntegrityError(f"{self.called}: {error.message}", "save the image under another name") from error

    def _read_docker(self) -> None:
        for saved in decode_foreign(list[Saved], self._text("manifest.json"), f"{self.called}: manifest.json"):
            config_bytes = self._text(saved.config)
            config = decode_foreign(ImageConfig, config_bytes, f"{self.called}: {saved.config}")
            if len(saved.layers) != len(config.rootfs.diff_ids):
                raise IntegrityError(f"{self.called}: {saved.config} speaks of another number of layers")
            layers = [self._layer(*pair) for pair in zip(saved.layers, config.rootfs.diff_ids, strict=True)]
            image = Image.wrap(config_bytes, config, layers)
            self._made |= {Digest.of(data): data for data in (image.manifest_bytes, config_bytes)}
            names = [self._name(tag) for tag in saved.repo_tags]
            self.images += [_named(image.descriptor, name) for name in names] or [image.descriptor]

    def _layer(self, name: str, diff_id: Digest) -> Descriptor:
        """Describe a layer: docker's are not compressed, so that the diff ID is the digest; others' may be gzip."""
        extent = self._extent(name)
        with _Section(self.path, extent) as stream:
            packed = stream.read(len(_GZIP)) == _GZIP
        digest = diff_id
        if packed:
            with _Section(self.path, extent) as stream:
                digest = Digest.of_stream(cast("BinaryIO", stream))
        self._blobs[digest] = extent
        return Descriptor(media_type=LAYER_GZIP if packed else LAYER, digest=digest, size=extent.size)

    def _speaks(self, digest: Digest, extent: Extent) -> Iterator[tuple[Digest, Descriptor]]:
        """Look whether a blob is a manifest with a subject; its digest is checked by whoever reads it."""
        if extent.size > DOCUMENT_LIMIT:
            return
        with _Section(self.path, extent) as stream:
            data = (stream.read(1) or b"") + (stream.read(extent.size) or b"")
        with suppress(IntegrityError):
            said = decode_foreign(Speaks, data, self.called) if data.startswith(b"{") else Speaks()
            if said.subject and said.media_type in DOCUMENTS:
                yield (
                    said.subject.digest,
                    Descriptor(
                        media_type=said.media_type,
                        digest=digest,
                        size=extent.size,
                        annotations=said.annotations,
                        artifact_type=said.artifact_type or None,
                    ),
                )

    def _text(self, name: str) -> bytes:
        extent = self._extent(name)
        if extent.size > DOCUMENT_LIMIT:
            raise IntegrityError(f"{self.called}: {name} has {extent.size} bytes; at most {DOCUMENT_LIMIT} are read")
        with _Section(self.path, extent) as stream:
            return stream.read(extent.size) or b""

    def _extent(self, name: str) -> Extent:
        if name not in self._members:
            raise IntegrityError(f"{self.called} has no {name}, which its manifest.json names", "save the image again")
        return self._members[name]


def local(name: str) -> str:
    """Leave out what docker and podman add to a name without a registry."""
    for added in ("docker.io/library/", "docker.io/", "localhost/"):
        if name.startswith(added):
            return name.removeprefix(added)
    return name


def _named(descriptor: Descriptor, name: str) -> Descriptor:
    return msgspec.structs.replace(descriptor, annotations={REF_NAME: name})


def _members(path: Path) -> dict[str, Extent]:
    """Where each file of the tar is; links between them are followed once, as docker writes a layer that is twice."""
    found: dict[str, Extent] = {}
    links: dict[str, str] = {}
    with path.open("rb") as file:
        tar = Tar(file, path.stat().st_size)
        for member in tar.members():
            name = posixpath.normpath(member.shown)
            if len(found) == MEMBERS:
                raise IntegrityError(f"it has more than {MEMBERS} members", "is it an image?")
            if member.kind == FILE:
                found[name] = Extent(tar.position, member.size)
            elif member.kind == SYMLINK:
                links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), shown(member.link)))
    return found | {name: found[target] for name, target in links.items() if target in found}


class _Section(io.RawIOBase):
    """A part of a file, as a stream of its own."""

    def __init__(self, path: Path, extent: Extent) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._begin = self._at = extent.offset
        self._end = extent.offset + extent.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: self._begin, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        self._at = min(self._end, max(self._begin, begin + offset))
        return self._at - self._begin

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the stub's Buffer has no length
        view = memoryview(buffer)[: self._end - self._at]
        count = os.preadv(self._file.fileno(), [view], self._at)
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
