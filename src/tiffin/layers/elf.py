"""What an ELF file asks of the dynamic linker: the libraries and symbol versions it needs, and those it brings.

Only 64-bit little-endian files are read, which is what every image of ours runs. The file is reached through its
program headers, as the linker does it, never through section headers, which a file may lie about or lack. Whatever
the file says is bounded, so a hostile one is refused with IntegrityError and costs little.

Sources: System V ABI, "Object Files" and "Dynamic Linking"; Linux Standard Base Core, "Symbol Versioning".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from tiffin.errors import IntegrityError

ReadAt = Callable[[int, int], bytes]
"""Reads from an offset so many bytes of a file, or fewer where it ends; going forward is cheap, as in a stream."""

MAGIC: Final = b"\x7fELF"
X86_64, AARCH64 = 62, 183
"""Machines, as `e_machine` names them."""

_HEADER = struct.Struct("<4sBBB9xHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")
_NEED = struct.Struct("<HHIII")
_NEED_AUX = struct.Struct("<IHHII")
_DEFINITION = struct.Struct("<HHHHIII")
_DEFINITION_AUX = struct.Struct("<II")

_CLASS_64, _LITTLE = 2, 1
_SHARED, _EXECUTABLE = 3, 2
_LOAD, _DYNAMIC_SEGMENT = 1, 2
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29
_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_BASE_OF_FILE, _WEAK = 1, 2

_MOST_PROGRAMS = 256
_MOST_DYNAMIC = 64 << 10
"""Bytes of the longest dynamic segment that is read."""
_MOST_STRINGS = 128 << 20
"""Bytes of the longest table of strings that is read; that of libtorch, with its C++ names, has about forty million."""
_LONGEST = 4096
"""Bytes of the longest string that is read."""
_MOST_VERSIONS = 10_000
"""Records of versions in a file; libc has about forty."""


class Wanted(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """A symbol version that a file cannot start without, and the library it should be in."""

    library: str
    version: str


class Elf(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one file asks of the dynamic linker and what it brings to others."""

    machine: int
    soname: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    wanted: tuple[Wanted, ...] = ()
    brings: tuple[str, ...] = ()
    """The symbol versions it defines; a library without any satisfies every wish, as the linker only warns."""
    module: bool = False
    """Whether Python can import it: it has the entry point `PyInit_` that goes with its name."""


class _Load(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of the file that is loaded at an address."""

    at: int
    offset: int
    size: int


class Headers(msgspec.Struct, frozen=True, kw_only=True):
    """What stands at the head of a file for the linker; offsets and sizes in bytes."""

    machine: int
    dynamic: int
    dynamic_size: int
    loads: tuple[_Load, ...]


def read_headers(read_at: ReadAt) -> Headers | None:
    """Read a file's headers; None for one the linker has nothing to do with. Raises IntegrityError."""
    head = read_at(0, _HEADER.size)
    if len(head) < _HEADER.size or head[:4] != MAGIC:
        return None
    _, size, order, _, kind, machine, *_, place, _, _, _, width, count, _, _, _ = _HEADER.unpack(head)
    if (size, order) != (_CLASS_64, _LITTLE) or kind not in {_SHARED, _EXECUTABLE}:
        return None
    if width != _PROGRAM.size or count > _MOST_PROGRAMS:
        raise IntegrityError(f"{count} program headers of {width} bytes")
    table = _exactly(read_at, place, width * count)
    programs = [_PROGRAM.unpack_from(table, at * width) for at in range(count)]
    dynamic = next((program for program in programs if program[0] == _DYNAMIC_SEGMENT), None)
    if dynamic is None:
        return None  # a static program
    loads = tuple(_Load(at=p[3], offset=p[2], size=p[5]) for p in programs if p[0] == _LOAD)
    return Headers(machine=machine, dynamic=dynamic[2], dynamic_size=min(dynamic[5], _MOST_DYNAMIC), loads=loads)


def read_elf(read_at: ReadAt, stem: str = "") -> Elf | None:
    """Read a file; None for one the linker has nothing to do with.

    `stem` is the file's name up to the first dot, by which Python calls a module's entry point. Raises IntegrityError
    for a file that says it is ELF and is not put together as one.
    """
    headers = read_headers(read_at)
    return _Reading(read_at, headers).elf(stem) if headers else None


class _Reading:
    """A file half read: its dynamic segment, and where addresses lie in it."""

    def __init__(self, read_at: ReadAt, headers: Headers) -> None:
        self._read_at = read_at
        self._headers = headers
        self._tags: dict[int, list[int]] = {}
        data = _exactly(read_at, headers.dynamic, headers.dynamic_size)
        for tag, value in _DYNAMIC.iter_unpack(data[: len(data) // _DYNAMIC.size * _DYNAMIC.size]):
            if not tag:
                break
            self._tags.setdefault(tag, []).append(value)
        self._strings = self._table()

    def elf(self, stem: str) -> Elf:
        brings, wanted = tuple(self._brings()), sorted(set(self._wanted()))
        return Elf(
            machine=self._headers.machine,
            soname="".join(self._named(_SONAME)[:1]),
            needed=tuple(self._named(_NEEDED)),
            rpath=_folders(self._named(_RPATH)),
            runpath=_folders(self._named(_RUNPATH)),
            wanted=tuple(wanted),
            brings=brings,
            module=bool(stem) and b"\0PyInit_" + stem.encode() + b"\0" in self._strings,
        )

    def _table(self) -> bytes:
        """The table of strings, which most of the rest points into."""
        size = self._one(_STRSZ)
        if size > _MOST_STRINGS:
            raise IntegrityError(f"a table of strings of {size} bytes; at most {_MOST_STRINGS} are read")
        return _exactly(self._read_at, self._offset(self._one(_STRTAB)), size) if size else b""

    def _one(self, tag: int) -> int:
        return self._tags.get(tag, [0])[0]

    def _named(self, tag: int) -> list[str]:
        return [self._string(value) for value in self._tags.get(tag, ())]

    def _wanted(self) -> Iterator[Wanted]:
        """The versions that libraries must have; those that are only wished for (weak) are left out."""
        for library, first in self._chain(_VERNEED, _VERNEEDNUM, _NEED):
            _, count, file, aux, _ = library
            name, at = self._string(file), first + aux
            for _ in range(min(count, _MOST_VERSIONS)):
                _, flags, _, version, step = _NEED_AUX.unpack(_exactly(self._read_at, at, _NEED_AUX.size))
                if not flags & _WEAK:
                    yield Wanted(name, self._string(version))
                if not step:
                    break
                at += step

    def _brings(self) -> Iterator[str]:
        for definition, at in self._chain(_VERDEF, _VERDEFNUM, _DEFINITION):
            _, flags, _, _, _, aux, _ = definition
            if not flags & _BASE_OF_FILE:
                name, _ = _DEFINITION_AUX.unpack(_exactly(self._read_at, at + aux, _DEFINITION_AUX.size))
                yield self._string(name)

    def _chain(self, tag: int, number: int, record: struct.Struct) -> Iterator[tuple[tuple[int, ...], int]]:
        """Each record of a list in which each one's last field says how far the next is; with its offset."""
        if tag not in self._tags:
            return
        at = self._offset(self._one(tag))
        count = self._one(number)
        if count > _MOST_VERSIONS:
            raise IntegrityError(f"{count} records of symbol versions")
        for _ in range(count):
            fields = record.unpack(_exactly(self._read_at, at, record.size))
            yield fields, at
            if not fields[-1]:
                break
            at += fields[-1]

    def _offset(self, address: int) -> int:
        """Where an address lies in the file."""
        for load in self._headers.loads:
            if load.at <= address < load.at + load.size:
                return address - load.at + load.offset
        raise IntegrityError(f"address {address:#x} is in no segment that is loaded")

    def _string(self, index: int) -> str:
        end = self._strings.find(b"\0", index, index + _LONGEST)
        if end < 0:
            raise IntegrityError(f"string {index} does not end in the table of strings")
        return self._strings[index:end].decode("utf-8", "backslashreplace")


def _folders(said: list[str]) -> tuple[str, ...]:
    return tuple(folder for text in said for folder in text.split(":") if folder)


def _exactly(read_at: ReadAt, offset: int, size: int) -> bytes:
    data = read_at(offset, size) if offset < 1 << 63 else b""
    if len(data) != size:
        raise IntegrityError(f"the file ends before the {size} bytes at {offset}")
    return data
