"""The outer shells of a .deb: the ar archive it is, and the compression of its two tars.

deb(5) and ar(5): `debian-binary`, then `control.tar`, then `data.tar`, each compressed or not; members whose names
begin with `_` and whatever follows `data.tar` are ignored. Everything is read in pieces, so memory is bounded.
"""

from __future__ import annotations

import importlib
import lzma
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

import msgspec

from tiffin.errors import IntegrityError, UnsupportedError

CHUNK = 1 << 20
"""Bytes moved at a time."""

_MAGIC = b"!<arch>\n"
_HEADER = 60
_LZMA_MEMORY = 256 << 20
"""Bytes; `xz -9` needs 65 MiB to be undone."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A member of the archive: its name, and where its bytes are."""

    name: str
    offset: int
    size: int


class _Inflater(Protocol):
    """What undoes a compression, as the standard library's decompressor objects do."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's object with the manners of the others."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(31)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail and not self._full

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self._full = len(out) == max_length
        return out


def find_parts(file: BinaryIO, where: str) -> dict[str, Part]:
    """Find `control.tar` and `data.tar`, by these names; raises IntegrityError that names `where` and the member."""
    members = _members(file, where)
    first = next(members, None)
    if first is None or first.name != "debian-binary" or not _read(file, first).startswith(b"2."):
        raise IntegrityError(f"{where} is not a Debian package: `debian-binary` does not say format 2", _ANEW)
    found: dict[str, Part] = {}
    for part in members:
        stem = "data.tar" if part.name.startswith("data.tar") else "control.tar"
        if part.name.startswith("_"):
            continue
        if not part.name.startswith(stem) or stem in found or (stem == "data.tar" and not found):
            raise IntegrityError(f"{where}: the member {part.name!r} does not belong here", _ANEW)
        found[stem] = part
        if stem == "data.tar":
            return found
    raise IntegrityError(f"{where} is truncated: it ends before `data.tar`", _ANEW)


_ANEW = "delete the file and get it anew"


def _members(file: BinaryIO, where: str) -> Iterator[Part]:
    end = file.seek(0, 2)
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise IntegrityError(f"{where} is not a Debian package: it does not begin as an ar archive", _ANEW)
    offset = len(_MAGIC)
    while offset < end:
        file.seek(offset)
        part = _member(file.read(_HEADER), offset + _HEADER, where)
        following = part.offset + part.size + part.size % 2
        if following > end:
            raise IntegrityError(f"{where} is truncated in {part.name!r}", _ANEW)
        yield part
        offset = following


def _member(header: bytes, offset: int, where: str) -> Part:
    digits = header[48:58].rstrip(b" ")
    if len(header) < _HEADER:
        raise IntegrityError(f"{where} is truncated in the header at byte {offset - _HEADER}", _ANEW)
    if header[58:] != b"`\n" or not digits.isdigit():
        raise IntegrityError(f"{where}: the header at byte {offset - _HEADER} is no header of an ar archive", _ANEW)
    name = header[:16].rstrip(b" ").removesuffix(b"/").decode("ascii", "backslashreplace")
    return Part(name=name, offset=offset, size=int(digits))


def _read(file: BinaryIO, part: Part) -> bytes:
    file.seek(part.offset)
    return file.read(min(part.size, CHUNK))


def expand(file: BinaryIO, part: Part, where: str, limit: int) -> Iterator[bytes]:
    """Read a member without its compression, in pieces; raises IntegrityError when broken or over `limit` bytes."""
    total = 0
    for data in _expand(file, part, where):
        total += len(data)
        if total > limit:
            raise IntegrityError(f"{where}: {part.name!r} unpacks to more than {limit} bytes", _ANEW)
        yield data


def _expand(file: BinaryIO, part: Part, where: str) -> Iterator[bytes]:
    inflater, pieces = _inflater(part.name, where), _pieces(file, part)
    if inflater is None:
        yield from pieces
        return
    try:
        yield from _inflate(inflater, pieces)
    except (lzma.LZMAError, zlib.error) as error:
        raise IntegrityError(f"{where}: {part.name!r} is damaged: {error}", _ANEW) from error
    if not inflater.eof:
        raise IntegrityError(f"{where}: {part.name!r} ends too early", _ANEW)
    if inflater.unused_data or next(pieces, b""):
        raise IntegrityError(f"{where}: {part.name!r} goes on after its end", _ANEW)


def _inflate(inflater: _Inflater, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield inflater.decompress(piece, CHUNK)
        while not _waits(inflater):
            yield inflater.decompress(b"", CHUNK)
        if inflater.eof:
            return


def _waits(inflater: _Inflater) -> bool:
    return inflater.eof or inflater.needs_input


def _pieces(file: BinaryIO, part: Part) -> Iterator[bytes]:
    for offset in range(0, part.size, CHUNK):
        file.seek(part.offset + offset)
        yield file.read(min(CHUNK, part.size - offset))


def _inflater(name: str, where: str) -> _Inflater | None:
    suffix = name.partition(".tar")[2]
    if suffix == ".xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY)
    if suffix == ".gz":
        return _Gzip()
    if suffix == ".zst":
        return _zstd(name, where)
    if suffix:
        raise UnsupportedError(
            f"{where}: {name!r} is compressed in a way not known here", "xz, gzip and zstd are known"
        )
    return None


def _zstd(name: str, where: str) -> _Inflater:
    try:
        zstd: Any = importlib.import_module("compression.zstd")
    except ImportError:
        raise UnsupportedError(
            f"{where}: {name!r} is compressed with zstd, which this Python cannot undo",
            "run tiffin on Python 3.14 or later, or use a suite of Debian: its packages are compressed with xz",
        ) from None
    inflater: _Inflater = zstd.ZstdDecompressor()
    return inflater
