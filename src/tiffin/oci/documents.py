"""The JSON documents of OCI, read tolerantly and never written anew from what was read.

Unknown fields are ignored when reading; whoever needs exact bytes keeps the bytes (`Image.manifest_bytes`).
Writing is canonical: sorted keys as declared here, no insignificant white space, UTF-8.
"""

from __future__ import annotations

import threading
from typing import Annotated, Any, TypeVar

import msgspec

from tiffin.errors import ConfigError, IntegrityError
from tiffin.oci.digest import Digest
from tiffin.oci.platform import Platform

T = TypeVar("T")

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = frozenset({INDEX, DOCKER_INDEX})
DOCUMENTS = frozenset({INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST})
"""What is kept as a manifest, and points to other content; anything else is a blob."""


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What every OCI document shares: camel-case keys, absent where empty."""


class Descriptor(Document, frozen=True, kw_only=True):
    """Where content is: its media type, digest and size in bytes (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    annotations: dict[str, str] = {}
    platform: Platform | None = None
    artifact_type: str | None = None

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Descriptor:
        """Describe these bytes."""
        return cls(media_type=media_type, digest=Digest.of(data), size=len(data))


class Manifest(Document, frozen=True, kw_only=True, omit_defaults=False):
    """An image's config and layers, bottom first (image-spec, manifest.md)."""

    schema_version: int = 2
    media_type: str = MANIFEST
    config: Descriptor
    layers: list[Descriptor]
    annotations: dict[str, str] = {}


NOTHING = b"{}"
EMPTY = Descriptor.of(NOTHING, "application/vnd.oci.empty.v1+json")
"""The config of what needs none (image-spec, manifest.md, "Guidance for an Empty Descriptor")."""


class Artifact(Document, frozen=True, kw_only=True, omit_defaults=False):
    """A manifest of documents about `subject` (image-spec, manifest.md, "Guidelines for Artifact Usage")."""

    schema_version: int = 2
    media_type: str = MANIFEST
    artifact_type: str
    config: Descriptor = EMPTY
    layers: list[Descriptor]
    subject: Descriptor
    annotations: dict[str, str] = {}


class Index(Document, frozen=True, kw_only=True, omit_defaults=False):
    """A list of manifests (image-spec, image-index.md)."""

    schema_version: int = 2
    media_type: str = INDEX
    manifests: list[Descriptor]


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """How a container of the image starts (image-spec, config.md, "config"); its keys are pascal-case."""

    user: str = ""
    exposed_ports: dict[str, dict[str, str]] = {}
    env: list[str] = []
    entrypoint: list[str] = []
    cmd: list[str] = []
    working_dir: str = ""
    labels: dict[str, str] = {}
    stop_signal: str = ""
    volumes: dict[str, dict[str, str]] = {}
    healthcheck: dict[str, Any] | None = None


class RootFS(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of the uncompressed layers, bottom first."""

    type: str = "layers"
    diff_ids: list[Digest]


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What made a layer, for people."""

    created: str = ""
    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image's configuration (image-spec, config.md); its digest is the image ID."""

    created: str = ""
    author: str = ""
    architecture: str
    os: str
    variant: str = ""
    config: RunConfig = RunConfig()
    rootfs: RootFS
    history: list[History] = []


def _to_json(value: object) -> str:
    if isinstance(value, Digest):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def read_digest(kind: type, value: Any) -> Any:
    """Read a digest out of its text: the `dec_hook` for whatever msgspec is to read digests from."""
    if kind is Digest:
        try:
            return Digest.parse(value if isinstance(value, str) else repr(value))
        except ConfigError as error:
            raise ValueError(error.message) from None
    raise NotImplementedError(kind.__name__)


def encode(document: object) -> bytes:
    """Write a document as canonical JSON bytes."""
    return msgspec.json.encode(document, enc_hook=_to_json, order="deterministic")


_LEARNT: set[object] = set()
_LEARNING = threading.Lock()


def _learn(kind: object) -> None:
    """Have msgspec read a type's annotations in one thread: a second that meets the half-read type would crash."""
    if kind not in _LEARNT:
        with _LEARNING:
            msgspec.json.Decoder(kind, dec_hook=read_digest)
            _LEARNT.add(kind)


def decode(kind: type[T], data: bytes, where: str) -> T:
    """Read a document; raises IntegrityError that names `where` it came from and the place in it."""
    _learn(kind)
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=read_digest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"{where} is not a valid {getattr(kind, '__name__', kind)}: {error}") from error


def decode_foreign(kind: type[T], data: bytes, where: str) -> T:
    """Read a document of any maker: what is null in it is absent, as Go writes empty lists and tables."""
    _learn(kind)
    try:
        value = _without_nulls(msgspec.json.decode(data))
        return msgspec.convert(value, type=kind, dec_hook=read_digest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"{where} is not a valid {getattr(kind, '__name__', kind)}: {error}") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value
