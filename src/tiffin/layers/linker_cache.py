"""The dynamic linker's cache, `/etc/ld.so.cache`: read, and written with further libraries. Pure.

Its format is glibc's own (`sysdeps/generic/dl-cache.h`, "glibc-ld.so.cache1.1"): a header, a table sorted in descending
order by names, and the names and paths to which its offsets, from the header's begin, lead.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

import msgspec

from tiffin.errors import IntegrityError
from tiffin.layers.elf import AARCH64, X86_64

PATH = "/etc/ld.so.cache"
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_LITTLE_ENDIAN = 2
_EXTENDED = 1 << 62
"""The mark of an entry for better processors, which points into an extension that is not kept."""
_FLAGS = {X86_64: 0x303, AARCH64: 0xA03}
"""What the linker calls a library of its own machine."""
_MOST = 1 << 20
"""Libraries in a cache that is read; a desktop's has about five thousand."""
_PARTS = re.compile(r"\d+|\D")


class Cached(msgspec.Struct, frozen=True, kw_only=True):
    """A library that the linker finds by its name: `flags` say for which machine, `hwcap` for which processors."""

    name: str
    path: str
    flags: int
    hwcap: int = 0
    version: int = 0


def cached(name: str, path: str, machine: int) -> Cached | None:
    """A library of a machine, as ELF names it; None for one whose linker has no such cache."""
    return Cached(name=name, path=path, flags=_FLAGS[machine]) if machine in _FLAGS else None


def read_cache(data: bytes) -> list[Cached]:
    """Read a cache; an older format may come before the one that is read. Raises IntegrityError for anything else."""
    begin = data.find(_MAGIC)
    if begin < 0 or len(data) < begin + _HEADER.size:
        raise IntegrityError("it is no cache of the dynamic linker", "run `ldconfig` where it was made")
    data = data[begin:]
    _, count, _, _, _ = _HEADER.unpack_from(data)
    if count > _MOST or len(data) < _HEADER.size + count * _ENTRY.size:
        raise IntegrityError(f"a cache of {count} libraries ends before them", "run `ldconfig` where it was made")
    entries = [_ENTRY.unpack_from(data, _HEADER.size + number * _ENTRY.size) for number in range(count)]
    return [
        Cached(name=_text(data, key), path=_text(data, value), flags=flags, hwcap=hwcap, version=version)
        for flags, key, value, version, hwcap in entries
        if not hwcap & _EXTENDED
    ]


def write_cache(libraries: Iterable[Cached]) -> bytes:
    """Write a cache; of one name and machine the first comes first, and is what the linker takes."""
    ordered = sorted(libraries, key=lambda one: _order(one.name), reverse=True)
    strings = bytearray()
    places: dict[str, int] = {}
    start = _HEADER.size + len(ordered) * _ENTRY.size
    for text in (text for one in ordered for text in (one.name, one.path)):
        if text not in places:
            places[text] = start + len(strings)
            strings += text.encode("utf-8", "surrogateescape") + b"\0"
    table = b"".join(
        _ENTRY.pack(one.flags, places[one.name], places[one.path], one.version, one.hwcap) for one in ordered
    )
    return _HEADER.pack(_MAGIC, len(ordered), len(strings), _LITTLE_ENDIAN, 0) + table + bytes(strings)


def with_libraries(data: bytes, more: Iterable[Cached]) -> bytes:
    """Add libraries to a cache, or to none; they take the place of others of the same name and machine."""
    added = {(one.name, one.flags): one for one in more}
    kept = [one for one in (read_cache(data) if data else []) if (one.name, one.flags) not in added]
    return write_cache([*added.values(), *kept])


def _order(name: str) -> tuple[tuple[int, int], ...]:
    """As `_dl_cache_libcmp` compares: digits together, as a number, and above every other character."""
    return tuple((1, int(part)) if part.isdecimal() else (0, ord(part)) for part in _PARTS.findall(name))


def _text(data: bytes, at: int) -> str:
    end = data.find(b"\0", at)
    if not 0 < at < end:
        raise IntegrityError(f"a name at {at} is not in the cache", "run `ldconfig` where it was made")
    return data[at:end].decode("utf-8", "surrogateescape")
