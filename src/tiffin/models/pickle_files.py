"""Where pickles are in a file: bare, compressed by joblib, in torch's zip, behind the header of a numpy array."""

from __future__ import annotations

import ast
import bz2
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from tiffin.errors import IntegrityError, UnsupportedError
from tiffin.models.pickle_opcodes import BrokenPickleError
from tiffin.models.zips import BROKEN, opened_zip
from tiffin.oci.digest import CHUNK

NUMPY = b"\x93NUMPY"
_LARGEST_DICTIONARY = 1 << 28
_MOST_HEADER = 1 << 16
_DEEPEST = 8
_PLAIN = re.compile(r"[|<>=]?(?:[?]|[biufcSaUV]\d{1,9}|[mM]8(?:\[\w+\])?)", re.ASCII)

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
    """Return the pickle behind a numpy array's header (numpy/lib/format.py), or None where it holds plain numbers.

    Only what certainly is plain counts as such: numpy also takes `'object'`, `'f8,O'` and texts with escapes for types.
    """
    head = stream.read(8)
    if not head.startswith(NUMPY):
        raise BrokenPickleError("it does not begin as an array of numpy does")
    width = 2 if head[6:7] == b"\x01" else 4
    size = int.from_bytes(stream.read(width), "little")
    if size > _MOST_HEADER:
        raise BrokenPickleError(f"its array's header is {size} bytes long")
    try:
        header = ast.literal_eval(stream.read(size).decode("latin-1").strip())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return stream
    return None if isinstance(header, dict) and _is_plain(header.get("descr"), _DEEPEST) else stream


def _is_plain(descr: object, depth: int) -> bool:
    """Say whether a type is of numbers, texts and times only, or a record of such."""
    if isinstance(descr, str):
        return _PLAIN.fullmatch(descr) is not None
    if not isinstance(descr, list) or not depth:
        return False
    return all(isinstance(field, tuple) and len(field) > 1 and _is_plain(field[1], depth - 1) for field in descr)


def zip_members(stream: BinaryIO) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    """Name the members of a zip and open them; raises BrokenPickleError where two readers could see two archives."""
    try:
        archive = opened_zip(stream)
    except IntegrityError as error:
        raise BrokenPickleError(error.message) from None
    for member in archive.infolist():
        yield member.filename, lambda member=member: _member(archive, member)  # type: ignore[misc]  # bound here


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    try:
        return cast("BinaryIO", archive.open(member))
    except BROKEN as error:
        raise BrokenPickleError(f"its member {member.filename[:100]} cannot be read: {error}") from None
