"""An image is a value over a store: the exact bytes of its manifest and config; its layers are descriptors."""

from __future__ import annotations

import io

import msgspec

from tiffin.errors import IntegrityError, UnsupportedError
from tiffin.oci.documents import (
    CONFIG,
    INDEXES,
    MANIFEST,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    decode_foreign,
    encode,
)
from tiffin.oci.platform import Platform
from tiffin.oci.store import Store

DOCUMENT_LIMIT = 4 << 20
"""Bytes of the largest manifest or config that is read (distribution-spec: registries take at least 4 MiB)."""


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One runnable image of one platform."""

    descriptor: Descriptor
    manifest_bytes: bytes
    config_bytes: bytes
    manifest: Manifest
    config: ImageConfig

    @classmethod
    def make(cls, config: ImageConfig, layers: list[Descriptor], annotations: dict[str, str]) -> Image:
        """Make an image of a config and layers, bottom first."""
        return cls.wrap(encode(config), config, layers, annotations)

    @classmethod
    def wrap(
        cls,
        config_bytes: bytes,
        config: ImageConfig,
        layers: list[Descriptor],
        annotations: dict[str, str] | None = None,
    ) -> Image:
        """Make an image of a config that somebody else wrote, byte for byte, and layers, bottom first."""
        described = Descriptor.of(config_bytes, CONFIG)
        manifest = Manifest(config=described, layers=layers, annotations=annotations or {})
        manifest_bytes = encode(manifest)
        return cls(
            descriptor=Descriptor.of(manifest_bytes, MANIFEST),
            manifest_bytes=manifest_bytes,
            config_bytes=config_bytes,
            manifest=manifest,
            config=config,
        )

    def write(self, store: Store) -> None:
        """Put config and manifest into the store, in that order, so that a visible manifest has its config."""
        store.put(self.manifest.config, io.BytesIO(self.config_bytes))
        store.put(self.descriptor, io.BytesIO(self.manifest_bytes))


def read_document(store: Store, descriptor: Descriptor, limit: int = DOCUMENT_LIMIT) -> bytes:
    """Read a document of at most `limit` bytes and check it against its descriptor; raises IntegrityError."""
    if descriptor.size > limit:
        raise IntegrityError(f"{descriptor.digest} is {descriptor.size} bytes; a document has at most {limit}")
    with store.open(descriptor) as stream:
        data = stream.read(descriptor.size + 1)
    if Descriptor.of(data, descriptor.media_type).digest != descriptor.digest:
        raise IntegrityError(f"{descriptor.digest}: the stored bytes differ from the digest", "pull or build it again")
    return data


def read_image(store: Store, descriptor: Descriptor, platform: Platform | None = None) -> Image:
    """Read the image a descriptor means; an index is searched for the platform (this machine's by default)."""
    data = read_document(store, descriptor)
    if descriptor.media_type in INDEXES:
        return read_image(
            store, _choose(decode_foreign(Index, data, str(descriptor.digest)), platform or Platform.here())
        )
    manifest = decode_foreign(Manifest, data, str(descriptor.digest))
    config_bytes = read_document(store, manifest.config)
    config = decode_foreign(ImageConfig, config_bytes, str(manifest.config.digest))
    if len(config.rootfs.diff_ids) != len(manifest.layers):
        raise IntegrityError(f"{descriptor.digest} has {len(manifest.layers)} layers and other diff IDs in its config")
    return Image(
        descriptor=descriptor, manifest_bytes=data, config_bytes=config_bytes, manifest=manifest, config=config
    )


def _choose(index: Index, platform: Platform) -> Descriptor:
    for descriptor in index.manifests:
        if descriptor.platform and descriptor.platform.suits(platform) and descriptor.media_type not in INDEXES:
            return descriptor
    there = ", ".join(sorted(str(d.platform) for d in index.manifests if d.platform)) or "none"
    raise UnsupportedError(f"no image for {platform} in the index", f"it has: {there}")
