"""A layer on its way out: tar bytes in; hashed, compressed and stored while the next ones are being made.

The caller's thread makes bytes (it reads and inflates); blocks are compressed by a pool; one more thread, the lane,
hashes the tar and writes the blob, in order. All of these spend their time in C without the interpreter lock, so two
cores are busy with plain threads. Memory is bounded: at most a few blocks are on their way.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self

from tiffin.layers.entry import Deflated
from tiffin.layers.gzip_members import HEADER, compressed, trailer
from tiffin.layers.layer import Layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, LAYER_GZIP
from tiffin.oci.store import Ingest

BLOCK = 1 << 20
"""Bytes of tar that become one gzip member, and bytes handed to the lane at a time. A part of the layout: another
size gives other blobs."""

_SMALL = 64 << 10
"""Bytes that are compressed sooner than handed to another thread."""


@contextlib.contextmanager
def output(ingest: Ingest, *, compress: bool) -> Iterator[Output]:
    """Begin a layer that is written into `ingest`."""
    workers = os.cpu_count() or 2
    with Lane(workers + 2) as lane:
        if not compress:
            yield PlainOutput(ingest, lane)
            return
        with ThreadPoolExecutor(workers, "tiffin-deflate") as pool:
            yield GzipOutput(ingest, lane, pool)


class Output(Protocol):
    """Takes the bytes of a tar file, in order, and ends as a layer."""

    def write(self, data: bytes) -> None:
        """Append bytes of the tar file."""
        ...

    def splice(self, content: Deflated, size: int) -> None:
        """Append `size` bytes of the tar file that are compressed already."""
        ...

    def finish(self) -> Layer:
        """Store the layer and describe it."""
        ...


class Lane:
    """A thread that does what it is told, in order; whoever tells it waits while `depth` things are still to do."""

    def __init__(self, depth: int) -> None:
        self._thread = ThreadPoolExecutor(1, "tiffin-lane")
        self._pending: deque[Future[None]] = deque()
        self._depth = depth

    def do(self, work: Callable[[], None]) -> None:
        """Let this be done after all before it; raises what an earlier work raised."""
        self._pending.append(self._thread.submit(work))
        if len(self._pending) > self._depth:
            self._pending.popleft().result()

    def finish(self) -> None:
        """Wait until all is done; raises what any work raised."""
        while self._pending:
            self._pending.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)


class PlainOutput:
    """An uncompressed layer: its blob is the tar file, so one hash serves as digest and diff ID."""

    def __init__(self, ingest: Ingest, lane: Lane) -> None:
        self._ingest = ingest
        self._lane = lane
        self._pending: list[bytes] = []
        self._waiting = 0

    def write(self, data: bytes) -> None:
        """Append bytes of the tar file."""
        self._pending.append(data)
        self._waiting += len(data)
        if self._waiting >= BLOCK:
            self._flush()

    def splice(self, content: Deflated, size: int) -> None:  # noqa: ARG002 - the size is for those who compress
        """Append what the compressed content inflates to."""
        for _, inflated in content.pieces():
            self.write(inflated)

    def finish(self) -> Layer:
        """Store the layer and describe it."""
        self._flush()
        self._lane.finish()
        blob = self._ingest.commit(LAYER)
        return Layer(descriptor=blob, diff_id=blob.digest, unpacked_size=blob.size)

    def _flush(self) -> None:
        pieces, self._pending, self._waiting = self._pending, [], 0
        self._lane.do(lambda: self._ingest.write(b"".join(pieces)))


class GzipOutput:
    """A gzip layer of many members: blocks compressed here, and streams that came compressed."""

    def __init__(self, ingest: Ingest, lane: Lane, pool: ThreadPoolExecutor) -> None:
        self._ingest = ingest
        self._lane = lane
        self._pool = pool
        self._hash = hashlib.sha256()
        self._size = 0
        self._block = bytearray()
        self._tar: list[bytes] = []
        self._blob: list[bytes] = []
        self._waiting = 0

    def write(self, data: bytes) -> None:
        """Append bytes of the tar file, to be compressed."""
        self._block += data
        while len(self._block) >= BLOCK:
            with memoryview(self._block) as view:
                block = bytes(view[:BLOCK])
            del self._block[:BLOCK]
            self._compress(block)

    def splice(self, content: Deflated, size: int) -> None:
        """Append compressed content as a gzip member of its own."""
        self._end_block()
        self._blob.append(HEADER)
        for deflated, inflated in content.pieces():
            self._tar.append(inflated)
            self._blob.append(deflated)
            self._waiting += len(inflated) + len(deflated)
            if self._waiting >= BLOCK:
                self._flush()
        self._blob.append(trailer(content.crc, size))

    def finish(self) -> Layer:
        """Store the layer and describe it."""
        self._end_block()
        self._flush()
        self._lane.finish()
        diff_id = Digest("sha256", self._hash.hexdigest())
        return Layer(descriptor=self._ingest.commit(LAYER_GZIP), diff_id=diff_id, unpacked_size=self._size)

    def _end_block(self) -> None:
        if self._block:
            self._compress(bytes(self._block))
            self._block.clear()

    def _compress(self, block: bytes) -> None:
        """Make a member of the block: here when it is small, as headers are, else in the pool."""
        if len(block) <= _SMALL:
            self._tar.append(block)
            self._blob.append(compressed(block))
            self._waiting += len(block)
            return
        self._flush()
        member = self._pool.submit(compressed, block)
        self._lane.do(lambda: self._store([block], member.result()))

    def _flush(self) -> None:
        tar, blob, self._tar, self._blob, self._waiting = self._tar, self._blob, [], [], 0
        if blob:
            self._lane.do(lambda: self._store(tar, b"".join(blob)))

    def _store(self, tar: Iterable[bytes], blob: bytes) -> None:
        """Hash the tar piece by piece, since joining them would copy several times what is written."""
        for piece in tar:
            self._hash.update(piece)
            self._size += len(piece)
        self._ingest.write(blob)
