"""A zip file on disk: its members, checked, and their content, both as it is stored and inflated.

Nothing is ever unpacked onto the disk. Content is read with `pread`, not mapped: a mapped 600 MB wheel would count as
memory, and a file that somebody cuts short would be a SIGBUS instead of an error.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import msgspec
from isal import igzip_lib, isal_zlib

from tiffin.errors import IntegrityError, NotFoundError
from tiffin.layers.entry import Deflated, Entry
from tiffin.layers.zip_directory import DEFLATED, ENCRYPTED, LOCAL, LOCAL_MAGIC, STREAMED, Member, read_directory, wide

_WINDOW = 256 << 10
"""Bytes of a member that are read at a time."""
_MOST_OUT = 1 << 20
"""Bytes inflated at a time: what one bad stream can cost in memory."""
_INFLATE_ERROR = cast("type[Exception]", igzip_lib.error)
_SLACK = 128
"""Bytes read past a member's content at once: what its local extra field and data descriptor mostly take."""


class Archive:
    """An open zip file, to be used in a `with` block; raises IntegrityError that names it and the member."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NotFoundError(f"cannot open {path}: {error.strerror}") from error
        try:
            self.members = read_directory(self._read, os.fstat(self._file).st_size)
        except IntegrityError as error:
            os.close(self._file)
            raise self.bad(error.message) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def bad(self, what: str) -> IntegrityError:
        """Make the error that says what is wrong with this file."""
        return IntegrityError(
            f"{self.path.name}: {what}", f"get {self.path} anew; if that does not help, it was made wrong"
        )

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Let every IntegrityError name this file."""
        try:
            yield
        except IntegrityError as error:
            named = error.message.startswith(f"{self.path.name}: ")
            raise error if named else self.bad(error.message) from error

    def entry(self, member: Member, path: str, *, executable: bool) -> Entry:
        """Make the entry of a member at a path of an image; one that is deflated will be spliced."""
        entry = Entry.file(path, member.size, partial(self.open, member), executable=executable)
        if not member.size:
            self.read(member)  # checks it, since nobody reads an empty file later
        if member.method != DEFLATED or not member.size:
            return entry
        return msgspec.structs.replace(entry, deflated=Deflated(crc=member.crc, pieces=partial(self.pieces, member)))

    def open(self, member: Member) -> BinaryIO:
        """Open a member's content for reading."""
        return cast("BinaryIO", io.BufferedReader(_Content(self.pieces(member)), _WINDOW))

    def read(self, member: Member, most: int = _MOST_OUT) -> bytes:
        """Read a member's content whole, refusing more than `most` bytes."""
        if member.size > most:
            raise self.bad(f"{member.name} is {member.size} bytes long; at most {most} are read")
        return b"".join(inflated for _, inflated in self.pieces(member))

    def begin(self, member: Member) -> bytes:
        """Read the first bytes of a member's content."""
        return next((inflated for _, inflated in self.pieces(member) if inflated), b"")

    def pieces(self, member: Member) -> Iterator[tuple[bytes, bytes]]:
        """Yield a member's content in pairs of bytes as stored and as inflated, and check both."""
        crc = size = 0
        for stored, inflated in self._inflated(member) if member.method == DEFLATED else self._stored(member):
            crc = isal_zlib.crc32(inflated, crc)
            size += len(inflated)
            if size > member.size:
                break
            yield stored, inflated
        if size != member.size:
            raise self.bad(f"{member.name} is not {member.size} bytes long, as the directory says")
        if crc != member.crc:
            raise self.bad(f"{member.name} has CRC-32 {crc:08x}; the directory says {member.crc:08x}")

    def _stored(self, member: Member) -> Iterator[tuple[bytes, bytes]]:
        return ((data, data) for data in self._packed(member))

    def _inflated(self, member: Member) -> Iterator[tuple[bytes, bytes]]:
        stream = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        most = min(_MOST_OUT, member.size + 1)
        ended = False
        try:
            for data in self._packed(member):
                if ended:
                    break
                yield data, stream.decompress(data, most)
                while not (stream.needs_input or stream.eof):
                    yield b"", stream.decompress(b"", most)
                ended = stream.eof
            else:
                if ended and not stream.unused_data:
                    return
        except _INFLATE_ERROR as error:
            raise self.bad(f"{member.name} is no DEFLATE stream: {error}") from error
        raise self.bad(f"the DEFLATE stream of {member.name} does not end where the directory says")

    def _packed(self, member: Member) -> Iterator[bytes]:
        """Yield a member's bytes as they are stored, and check what stands before and after them."""
        before = LOCAL.size + len(member.raw_name)
        head = self._read(member.offset, before + min(member.packed, _WINDOW) + _SLACK)
        flags, start = self._check_local(member, head, before)
        data = head[start : start + member.packed]
        at, end = member.offset + start + len(data), member.offset + start + member.packed
        yield data
        while at < end:
            data = self._read(at, min(end - at, _WINDOW))
            if not data:
                raise self.bad(f"{member.name} is cut off")
            at += len(data)
            yield data
        if flags & STREAMED and not self._read(end, 24).startswith(_descriptors(member)):
            raise self.bad(f"the data descriptor of {member.name} disagrees with the directory")

    def _check_local(self, member: Member, head: bytes, before: int) -> tuple[int, int]:
        """Hold a member's local header against the directory; return its flags and where its content begins."""
        if len(head) < before:
            raise self.bad(f"{member.name} is cut off")
        magic, _, flags, method, _, _, crc, packed, size, name_size, extra_size = LOCAL.unpack_from(head)
        if magic != LOCAL_MAGIC or head[LOCAL.size : LOCAL.size + name_size] != member.raw_name:
            raise self.bad(f"{member.name} has another name in its local header")
        if method != member.method or flags & ENCRYPTED:
            raise self.bad(f"{member.name} has another method in its local header")
        if extra_size:
            extra = self._read(member.offset + before, extra_size)
            size, packed = wide(extra, [size, packed], member.raw_name)
        told, known = (crc, packed, size), (member.crc, member.packed, member.size)
        streamed = flags & STREAMED
        if told != known and not (streamed and all(t in {0, k} for t, k in zip(told, known, strict=True))):
            raise self.bad(f"{member.name} has another size or CRC-32 in its local header")
        return flags, before + extra_size

    def _read(self, offset: int, size: int) -> bytes:
        return os.pread(self._file, size, offset)


class _Content(io.RawIOBase):
    """A member's inflated content as a raw stream."""

    def __init__(self, pieces: Iterator[tuple[bytes, bytes]]) -> None:
        self._pieces = (inflated for _, inflated in pieces if inflated)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        count = min(len(target), len(self._left))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _descriptors(member: Member) -> tuple[bytes, ...]:
    """Write every form that a data descriptor may have (APPNOTE 4.3.9)."""
    short = struct.pack("<3L", member.crc, member.packed & 0xFFFFFFFF, member.size & 0xFFFFFFFF)
    long = struct.pack("<L2Q", member.crc, member.packed, member.size)
    return short, long, b"PK\x07\x08" + short, b"PK\x07\x08" + long
