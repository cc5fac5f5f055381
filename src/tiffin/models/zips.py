"""Open a zip that is a model, in bounded memory: its directory is measured before anything lists it.

APPNOTE.TXT 6.3.10, 4.3.14 to 4.3.16. `zipfile` reads a directory whole and makes an object of each member, so that one
of a gibibyte would take ten; and it goes back from the end for a directory, so that two readers may find two of them.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from typing import BinaryIO

from tiffin.errors import IntegrityError

ZIP = b"PK\x03\x04"
BROKEN = (
    OSError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
"""What `zipfile` raises for files that are no zip, encrypted, cut off, damaged, or compressed in an odd way."""

_LARGEST_DIRECTORY = 16 << 20
"""Bytes: 150,000 members with the names that torch gives them."""
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")


def opened_zip(stream: BinaryIO) -> zipfile.ZipFile:
    """Open a zip that ends with its directory and has nothing before its first member.

    Raises IntegrityError for any other, for one whose directory is larger than any model's, and for one that names a
    member twice.
    """
    _check_end(stream)
    try:
        archive = zipfile.ZipFile(stream)
    except BROKEN as error:
        raise IntegrityError(f"its zip directory is damaged: {error}") from None
    members = archive.infolist()
    if len({member.filename for member in members}) != len(members):
        raise IntegrityError("its zip directory names a member twice")
    if min((member.header_offset for member in members), default=0):
        raise IntegrityError("its zip has something before its first member")
    return archive


def _check_end(stream: BinaryIO) -> None:
    size = stream.seek(0, 2)
    place = size - _END.size
    stream.seek(max(place - _LOCATOR.size, 0))
    tail = stream.read(_LOCATOR.size + _END.size)
    if place < 0 or tail[-_END.size :][:4] != b"PK\x05\x06":
        raise IntegrityError("it does not end as a zip does: it is cut off, or something is behind its directory")
    length = _END.unpack(tail[-_END.size :])[5]
    if tail.startswith(b"PK\x06\x07"):
        length = _length64(stream, _LOCATOR.unpack(tail[: _LOCATOR.size])[2], place - _LOCATOR.size)
    if length > _LARGEST_DIRECTORY:
        raise IntegrityError(f"its zip directory is {length} bytes long; at most {_LARGEST_DIRECTORY} are read")


def _length64(stream: BinaryIO, at: int, before: int) -> int:
    """Read the length of the directory in the zip64 end of it, which stands right before its locator."""
    if at + _END64.size != before:
        raise IntegrityError("its zip64 directory does not end where its locator begins")
    stream.seek(at)
    magic, *_, length, _ = _END64.unpack(stream.read(_END64.size))
    if magic != b"PK\x06\x06":
        raise IntegrityError("its zip64 locator leads nowhere")
    return int(length)
