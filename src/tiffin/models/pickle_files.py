"""Where pickles are in a file: bare, compressed by joblib, in torch's zip, behind the header of a numpy array."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from tiffin.errors import UnsupportedError
from tiffin.models.pickle_opcodes import BrokenPickleError
from tiffin.oci.digest import CHUNK

ZIP = b"PK\x03\x04"
NUMPY = b"\x93NUMPY"
_LARGEST_DICTIONARY = 1 << 28
_MOST_MEMBERS = 1 << 17
_MOST_HEADER = 1 << 16
_END_OF_ZIP = 22
_OBJECTS = re.compile(rb"['\"][|<>=]?O\d*['\"]")

_COMPRESSED: dict[bytes, Callable[[], Any]] = {
    b"\x78": lambda: zlib.decompressobj(15),
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZ": bz2.BZ2Decompressor,
    b"\x5d\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LARGEST_DICTIONARY),
    b"\xfd7zXZ": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LARGEST_DICTIONARY),
}
"""First bytes by which joblib knows a compressed file -> what takes one stream of it apart."""
_UNREAD = {b"\x04\x22\x4d\x18": "lz4", b"ZF": "a joblib older than 0.10"}


def is_compressed(head: bytes) -> bool:
    """Say whether joblib would take a file that begins so for a compressed one."""
    return any(head.startswith(magic) for magic in (*_COMPRESSED, *_UNREAD))


def inflated(stream: BinaryIO, where: str) -> BinaryIO:
    """Return what joblib would unpickle; raises UnsupportedError for a compression that is not read here."""
    head = stream.read(8)
    stream.seek(0)
    for magic, name in _UNREAD.items():
        if head.startswith(magic):
            raise UnsupportedError(
                f"{where} was compressed by {name}, which is not read here",
                'save it again: `joblib.dump(model, path, compress=("gzip", 3))`',
            )
    for magic, decompressor in _COMPRESSED.items():
        if head.startswith(magic):
            return io.BufferedReader(_Inflating(stream, decompressor), CHUNK)
    return stream


class _Inflating(io.RawIOBase):
    """The contents of compressed streams, one after the other, in bounded memory."""

    def __init__(self, stream: BinaryIO, decompressor: Callable[[], Any]) -> None:
        super().__init__()
        self._stream = stream
        self._fresh = decompressor
        self._decompressor = decompressor()
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._next(len(view))
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise BrokenPickleError(f"it does not inflate: {error}") from None
        view[: len(data)] = data
        return len(data)

    def _next(self, wanted: int) -> bytes:
        while True:
            if self._decompressor.eof:
                self._waiting = self._decompressor.unused_data or self._stream.read(CHUNK)
                if not self._waiting:
                    return b""
                self._decompressor = self._fresh()
            taken = self._waiting or self._tail() or self._stream.read(CHUNK)
            self._waiting = b""
            data: bytes = self._decompressor.decompress(taken, wanted)
            if data:
                return data
            if not taken and not self._decompressor.eof:
                raise EOFError("its end is missing")

    def _tail(self) -> bytes:
        """What zlib left over when its output was full; the others keep it to themselves and take no more."""
        return cast("bytes", getattr(self._decompressor, "unconsumed_tail", b""))


def numpy_objects(stream: BinaryIO) -> BinaryIO | None:
    """Return the pickle behind a numpy array's header (numpy/lib/format.py), or None where it holds plain numbers."""
    head = stream.read(8)
    width = 2 if head[6:7] == b"\x01" else 4
    size = int.from_bytes(stream.read(width), "little")
    if size > _MOST_HEADER:
        raise BrokenPickleError(f"its array's header is {size} bytes long")
    return stream if _OBJECTS.search(stream.read(size)) else None


def zip_members(stream: BinaryIO, size: int) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    """Name the members of a zip and open them; raises BrokenPickleError where two readers could see two archives."""
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise BrokenPickleError(f"its zip directory is damaged: {error}") from None
    members = archive.infolist()
    names = {member.filename for member in members}
    if len(members) > _MOST_MEMBERS or len(names) != len(members):
        raise BrokenPickleError("its zip directory names a member twice, or more members than any model has")
    stream.seek(max(size - _END_OF_ZIP, 0))
    if stream.read(4) != b"PK\x05\x06" or min((member.header_offset for member in members), default=0):
        raise BrokenPickleError("its zip has something before its first member or behind its directory")
    for member in members:
        yield member.filename, lambda member=member: _member(archive, member)  # type: ignore[misc]  # bound here


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    try:
        return cast("BinaryIO", archive.open(member))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise BrokenPickleError(f"its member {member.filename[:100]} cannot be read: {error}") from None
