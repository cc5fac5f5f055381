"""The central directory of a zip file, read strictly: what two programs could read differently is refused.

APPNOTE.TXT 6.3.10, sections 4.3 and 4.4. The directory is the truth; `zip_archive` checks each member's local header
against it. Named precedents: CVE-2024-0450 (overlapping members), CVE-2025-54368 (ambiguous ends, local headers that
disagree).
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable

import msgspec

from tiffin.errors import IntegrityError

ReadAt = Callable[[int, int], bytes]
"""Read up to so many bytes at an offset of the file."""

STORED, DEFLATED = 0, 8
LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_MAGIC = b"PK\x03\x04"
ENCRYPTED, STREAMED, UTF8 = 1, 1 << 3, 1 << 11

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_MOST_COMMENT = 0xFFFF
_MOST_MEMBERS = 200_000
"""The largest wheels have 50,000."""
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_LARGEST_DIRECTORY = 64 << 20
_REFUSED_FLAGS = {1: "encrypted", 1 << 5: "a patch", 1 << 6: "encrypted", 1 << 13: "masked"}
_SPECIAL = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
}
_DENSEST = 1032
"""DEFLATE holds at most this many bytes in one (zlib, "Maximum Compression Factor")."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One file or directory of a zip file."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    executable: bool

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, which zip files need not list."""
        return self.name.endswith("/")


def read_directory(read: ReadAt, size: int) -> list[Member]:
    """Read every member of a zip file of `size` bytes, in the directory's order; raises IntegrityError."""
    offset, length, count = _find(read, size)
    if length > _LARGEST_DIRECTORY or count > _MOST_MEMBERS:
        raise IntegrityError(f"it lists {count} members in {length} bytes; at most {_MOST_MEMBERS} are read")
    data = read(offset, length)
    members, at = [], 0
    for _ in range(count):
        member, at = _member(data, at)
        members.append(member)
    if at != length:
        raise IntegrityError(f"its directory is {length} bytes long but its {count} members take {at}")
    _refuse_overlaps(members, offset)
    return members


def _find(read: ReadAt, size: int) -> tuple[int, int, int]:
    """Find where the directory is, how long it is and how many members it has."""
    start = max(0, size - _END.size - _MOST_COMMENT)
    tail = read(start, size - start)
    ends = [at for at in _positions(tail, b"PK\x05\x06") if _ends_file(tail, at)]
    if not ends:
        raise IntegrityError("it does not end like a zip file: it is cut off, or no zip file")
    if len(ends) > 1:
        raise IntegrityError("it has two ends of a directory, so programs disagree about what it holds")
    _, disk, first, here, count, length, offset, _ = _END.unpack_from(tail, ends[0])
    at = start + ends[0]
    if _FULL16 in (count, here) or _FULL32 in (length, offset):
        at, disk, first, here, count, length, offset = _find64(read, at)
    if disk or first or here != count:
        raise IntegrityError("it is one of several disks")
    if offset + length != at:
        raise IntegrityError(f"its directory should end at byte {at} but ends at {offset + length}")
    return offset, length, count


def _find64(read: ReadAt, end: int) -> tuple[int, int, int, int, int, int, int]:
    """Read the zip64 end of the directory, which stands before its locator, which stands before `end`."""
    locator = read(max(0, end - _LOCATOR.size), _LOCATOR.size)
    if end < _LOCATOR.size + _END64.size or not locator.startswith(b"PK\x06\x07"):
        raise IntegrityError("its zip64 directory has no locator")
    _, _, at, _ = _LOCATOR.unpack(locator)
    if at + _END64.size != end - _LOCATOR.size:
        raise IntegrityError("its zip64 directory does not end where its locator begins")
    magic, _, _, _, disk, first, here, count, length, offset = _END64.unpack(read(at, _END64.size))
    if magic != b"PK\x06\x06":
        raise IntegrityError("its zip64 locator leads nowhere")
    return at, disk, first, here, count, length, offset


def _positions(data: bytes, magic: bytes) -> list[int]:
    found, at = [], data.find(magic)
    while at >= 0:
        found.append(at)
        at = data.find(magic, at + 1)
    return found


def _ends_file(tail: bytes, at: int) -> bool:
    """Say whether an end of the directory at `at` has a comment that reaches the end of the file."""
    if at + _END.size > len(tail):
        return False
    comment: int = _END.unpack_from(tail, at)[-1]
    return at + _END.size + comment == len(tail)


def _member(data: bytes, at: int) -> tuple[Member, int]:
    """Read one member of the directory; return it and where the next one begins."""
    if at + _CENTRAL.size > len(data) or data[at : at + 4] != b"PK\x01\x02":
        raise IntegrityError(f"its directory is broken at byte {at}")
    (_, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment, disk, _, attributes, offset) = (
        _CENTRAL.unpack_from(data, at)
    )
    at += _CENTRAL.size
    raw_name, extra = data[at : at + name_size], data[at + name_size : at + name_size + extra_size]
    if len(extra) != extra_size:
        raise IntegrityError(f"its directory is cut off at byte {at}")
    if extra:
        _refuse_other_name(extra, raw_name)
    if _FULL32 in (packed, size, offset):
        size, packed, offset = wide(extra, [size, packed, offset], raw_name)
    member = Member(
        name=_decode(raw_name, flags),
        raw_name=raw_name,
        flags=flags,
        method=method,
        crc=crc,
        packed=packed,
        size=size,
        offset=offset,
        executable=stat.S_ISREG(attributes >> 16) and bool(attributes >> 16 & 0o111),
    )
    _refuse_odd(member, attributes >> 16, disk)
    return member, at + name_size + extra_size + comment


def wide(extra: bytes, values: list[int], raw_name: bytes) -> list[int]:
    """Replace every value that is all ones by the next one of the zip64 extra field (APPNOTE 4.5.3)."""
    field = fields(extra, raw_name).get(1, b"")
    at = 0
    for place, value in enumerate(values):
        if value == _FULL32:
            if at + 8 > len(field):
                raise IntegrityError(f"{raw_name!r} has no zip64 size")
            values[place] = int.from_bytes(field[at : at + 8], "little")
            at += 8
    return values


def fields(extra: bytes, raw_name: bytes) -> dict[int, bytes]:
    """Split an extra field into its parts by their ids; padding that is no part ends it."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        id_, length = struct.unpack_from("<HH", extra, at)
        if at + 4 + length > len(extra):
            raise IntegrityError(f"{raw_name!r} has a broken extra field")
        if id_ in found and id_ == 1:
            raise IntegrityError(f"{raw_name!r} has two zip64 sizes")
        found[id_] = extra[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def _refuse_other_name(extra: bytes, raw_name: bytes) -> None:
    """Refuse a second name: Info-ZIP's Unicode path (APPNOTE 4.6.9) where it says another than the first."""
    second = fields(extra, raw_name).get(0x7075)
    if second is not None and second[5:] != raw_name:
        raise IntegrityError(f"{raw_name!r} has a second name, {second[5:]!r}")


def _decode(raw_name: bytes, flags: int) -> str:
    try:
        return raw_name.decode("utf-8" if flags & UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{raw_name!r} is no name in UTF-8 that says that it is UTF-8") from error


def _refuse_odd(member: Member, mode: int, disk: int) -> None:
    """Refuse what has no place in a wheel, and sizes that cannot be."""
    for flag, word in _REFUSED_FLAGS.items():
        if member.flags & flag:
            raise IntegrityError(f"{member.name!r} is {word}")
    if disk or member.method not in (STORED, DEFLATED):
        raise IntegrityError(
            f"{member.name!r} is on disk {disk} with compression method {member.method}; 0 and 8 are read"
        )
    if special := _SPECIAL.get(stat.S_IFMT(mode)):
        raise IntegrityError(f"{member.name!r} is {special}")
    if member.is_directory and member.size:
        raise IntegrityError(f"{member.name!r} is a directory with {member.size} bytes of content")
    if not _possible(member):
        raise IntegrityError(f"{member.name!r} cannot be {member.size} bytes out of {member.packed}")


def _possible(member: Member) -> bool:
    """Say whether so many bytes can come out of so many."""
    if member.method == STORED:
        return member.packed == member.size
    return member.size <= member.packed * _DENSEST


def _refuse_overlaps(members: list[Member], end: int) -> None:
    """Refuse members that share bytes with each other or with the directory at `end`."""
    for member in sorted(members, key=lambda member: -member.offset):
        if member.offset + LOCAL.size + len(member.raw_name) + member.packed > end:
            raise IntegrityError(f"{member.name!r} overlaps what comes after it")
        end = member.offset
