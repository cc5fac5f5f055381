"""An image as one tar that docker of any age, podman, skopeo and containerd load: an OCI layout with docker's manifest.

Layers go in as they lie in the store, compressed; nothing is unpacked and nothing is written to disk here.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from typing import IO

from tiffin.oci.documents import Descriptor, Index, encode
from tiffin.oci.image import Image
from tiffin.oci.store import Store

_BLOCK = 512
_CHUNK = 1 << 20
_LAYOUT = encode({"imageLayoutVersion": "1.0.0"})


def documents(image: Image, name: str) -> dict[str, bytes]:
    """The files of the archive that are not blobs: which image there is, said once for docker and once for the rest."""
    called = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    entry = Descriptor(
        media_type=image.descriptor.media_type,
        digest=image.descriptor.digest,
        size=image.descriptor.size,
        annotations=called,
    )
    config = _path(image.manifest.config)
    for_docker = {"Config": config, "RepoTags": [name], "Layers": [_path(layer) for layer in image.manifest.layers]}
    return {
        "oci-layout": _LAYOUT,
        "index.json": encode(Index(manifests=[entry])),
        "manifest.json": encode([for_docker]),
        config: image.config_bytes,
        _path(image.descriptor): image.manifest_bytes,
    }


def size(image: Image) -> int:
    """Bytes of the layers: what is worth counting."""
    return sum(layer.size for layer in _distinct(image))


def write(store: Store, image: Image, name: str, out: IO[bytes], advance: Callable[[int], None]) -> None:
    """Write the archive to a stream that is never sought in; `advance` hears of every bytes of layers written."""
    for path, data in documents(image, name).items():
        out.write(_header(path, len(data)))
        _copy(io.BytesIO(data), out, len(data), _deaf)
    for layer in _distinct(image):
        out.write(_header(_path(layer), layer.size))
        with store.open(layer) as blob:
            _copy(blob, out, layer.size, advance)
    out.write(bytes(2 * _BLOCK))


def _distinct(image: Image) -> Iterator[Descriptor]:
    """Layers, each once: an archive with a file twice means the later one."""
    yield from {layer.digest: layer for layer in image.manifest.layers}.values()


def _path(descriptor: Descriptor) -> str:
    return f"blobs/sha256/{descriptor.digest.hex}"


def _header(path: str, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _copy(source: IO[bytes], out: IO[bytes], size: int, advance: Callable[[int], None]) -> None:
    while chunk := source.read(_CHUNK):
        out.write(chunk)
        advance(len(chunk))
    out.write(bytes(-size % _BLOCK))


def _deaf(_: int) -> None:
    """Count nothing."""
