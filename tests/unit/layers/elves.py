"""ELF files written byte by byte, with what the dynamic linker reads and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

HEADER, PROGRAM, PAGE = 64, 56, 0x1000


class Strings:
    """A table of strings in the making."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0")

    def add(self, text: str) -> int:
        at = len(self.data)
        self.data += text.encode() + b"\0"
        return at


def elf_file(  # noqa: PLR0913 - each is one thing a file may say
    *,
    needed: Sequence[str] = (),
    soname: str = "",
    rpath: str = "",
    runpath: str = "",
    wanted: Mapping[str, Sequence[str]] | None = None,
    weak: Sequence[str] = (),
    brings: Sequence[str] = (),
    symbols: Sequence[str] = (),
    machine: int = 62,
    padding: int = 0,
) -> bytes:
    """Write a shared object; `padding` bytes of nothing lie between its strings and its dynamic segment."""
    strings = Strings()
    tags = [(1, strings.add(name)) for name in needed]
    tags += [(tag, strings.add(text)) for tag, text in ((14, soname), (15, rpath), (29, runpath)) if text]
    for symbol in symbols:
        strings.add(symbol)
    needs, defines = _needs(wanted or {}, weak, strings), _defines(brings, strings)
    at = HEADER + 2 * PROGRAM
    for tag, count, data in ((0x6FFFFFFE, len(wanted or {}), needs), (0x6FFFFFFC, len(brings) + 1, defines)):
        if data:
            tags += [(tag, PAGE + at), (tag + 1, count)]
        at += len(data)
    tags += [(5, PAGE + at), (10, len(strings.data)), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in tags)
    place = at + len(strings.data) + padding
    end = place + len(dynamic)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, HEADER, 0, 0, HEADER, PROGRAM, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, PAGE, PAGE, end, end, PAGE)
    segment = struct.pack("<IIQQQQQQ", 2, 6, place, PAGE + place, PAGE + place, len(dynamic), len(dynamic), 8)
    return b"".join((header, load, segment, needs, defines, bytes(strings.data), bytes(padding), dynamic))


def _needs(wanted: Mapping[str, Sequence[str]], weak: Sequence[str], strings: Strings) -> bytes:
    data = b""
    for number, (library, versions) in enumerate(wanted.items(), 1):
        size = 16 + 16 * len(versions)
        data += struct.pack("<HHIII", 1, len(versions), strings.add(library), 16, size * (number < len(wanted)))
        for place, version in enumerate(versions, 1):
            flags, step = 2 * (version in weak), 16 * (place < len(versions))
            data += struct.pack("<IHHII", 0, flags, 2, strings.add(version), step)
    return data


def _defines(brings: Sequence[str], strings: Strings) -> bytes:
    names = ["the-file-itself", *brings] if brings else []
    return b"".join(
        struct.pack("<HHHHIII", 1, not place, place + 1, 1, 0, 20, 28 * (place + 1 < len(names)))
        + struct.pack("<II", strings.add(name), 0)
        for place, name in enumerate(names)
    )
