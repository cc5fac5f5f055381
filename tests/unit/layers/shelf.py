"""A store of layers in memory that checks what they say about themselves."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator

from tiffin.layers.layer import Layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor


class Writing:
    """A blob being written into memory."""

    def __init__(self, blobs: dict[Digest, bytes], seen: Callable[[bytes], None]) -> None:
        self._blobs = blobs
        self._seen = seen
        self._data = io.BytesIO()

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        self._seen(data)
        self._data.write(data)

    def commit(self, media_type: str) -> Descriptor:
        descriptor = Descriptor.of(self._data.getvalue(), media_type)
        self._blobs[descriptor.digest] = self._data.getvalue()
        return descriptor


class Shelf:
    """The store."""

    def __init__(self, seen: Callable[[bytes], None] = lambda _: None) -> None:
        """Make an empty one; `seen` is told of all bytes that are written, and may raise."""
        self.blobs: dict[Digest, bytes] = {}
        self._seen = seen

    @contextlib.contextmanager
    def ingest(self) -> Iterator[Writing]:
        yield Writing(self.blobs, self._seen)

    def blob(self, layer: Layer) -> bytes:
        return self.blobs[layer.descriptor.digest]

    def tar(self, layer: Layer) -> bytes:
        blob = self.blob(layer)
        data = blob if layer.descriptor.media_type == LAYER else gzip.decompress(blob)
        assert hashlib.sha256(data).hexdigest() == layer.diff_id.hex
        assert len(data) == layer.unpacked_size
        return data

    def open(self, layer: Layer) -> tarfile.TarFile:
        return tarfile.open(fileobj=io.BytesIO(self.tar(layer)), mode="r:")

    def files(self, layer: Layer) -> dict[str, tuple[int, bytes]]:
        """Every file's mode and content, by path."""
        with self.open(layer) as tar:
            return {m.name: (m.mode, tar.extractfile(m).read()) for m in tar if m.isfile()}
