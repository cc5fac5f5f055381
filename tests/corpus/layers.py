"""Layers that are hostile beyond what `tars` has: bombs, chains, and ways out that need several members."""

# ruff: noqa: E501 - a row of a table is read best as one line

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corpus.case import Case, made
from corpus.tars import END, HOSTILE, extended, file, folder, hard_link, header, record, symlink

FILE, PACKED = "layer.tar", "layer.tar.gz"


def cases() -> Iterator[Case]:
    """Every hostile layer: those of `tars`, and these."""
    for name, (members, _) in HOSTILE.items():
        end = b"" if "half a" in name or "beyond" in name else END
        yield Case(name, "layer", FILE, made(members + end), ("layer ",))
    yield from _ways_out()
    yield from _numbers()
    yield from _chains()
    yield from _names()
    yield from _packed()
    yield from _bombs()


def _case(name: str, members: bytes, *says: str) -> Case:
    return Case(name, "layer", FILE, made(members + END), ("layer ", *says) if says else ())


def _ways_out() -> Iterator[Case]:
    """A link, and then something through it; each must name the path that leads through it."""
    through = "leads through a link"
    yield Case(
        "CVE-2007-4559: a link to an absolute folder, and a file through it",
        "layer",
        FILE,
        lambda outside: symlink(b"out", bytes(outside)) + file(b"out/precious", b"evil") + END,
        ("layer ", through, "out"),
    )
    yield Case(
        "CVE-2025-4517: links that a realpath gives up on, and a file through them",
        "layer",
        FILE,
        _beyond_path_max,
        ("layer ",),
    )
    yield Case(
        "CVE-2025-4330: a link that leads back in by name and out by disk",
        "layer",
        FILE,
        made(folder(b"a") + symlink(b"a/up", b"..") + symlink(b"b", b"a/up/../..") + file(b"b/outside/precious") + END),
        ("layer ", through),
    )
    yield Case(
        "CVE-2025-8869: a hard link to a link to outside",
        "layer",
        FILE,
        lambda outside: symlink(b"l", bytes(outside / "precious")) + hard_link(b"h", b"l") + END,
        ("layer ", "no regular file"),
    )
    yield Case(
        "CVE-2024-12718: a folder's mode through a link",
        "layer",
        FILE,
        lambda outside: symlink(b"d", bytes(outside)) + folder(b"d/x", 0o777) + END,
        ("layer ", through),
    )
    yield Case(
        "CVE-2018-15664: a folder that becomes a link between two members",
        "layer",
        FILE,
        lambda outside: folder(b"d") + file(b"d/a") + symlink(b"d", bytes(outside)) + file(b"d/precious") + END,
        ("layer ", through),
    )
    yield _case("a link to itself", symlink(b"l", b"l") + file(b"l/x"), through)
    yield _case("a loop of links", symlink(b"a", b"b") + symlink(b"b", b"a") + file(b"a/x"), through)
    yield _case(
        "a chain of forty links",
        b"".join(symlink(b"l%d" % n, b"l%d" % (n + 1)) for n in range(40)) + file(b"l0/x"),
        through,
    )
    yield _case("a link named like its folder", folder(b"d") + symlink(b"d/d", b"../d") + file(b"d/d/d/x"), through)
    yield _case("a hard link by dots", file(b"d/f") + hard_link(b"h", b"d/../../outside/precious"), "no path inside")
    yield _case(
        "a hard link into a folder that is a link", symlink(b"d", b"..") + hard_link(b"h", b"d/in/layer.tar"), through
    )
    yield _case("links to everywhere that nobody follows", symlink(b"a", b"/") + symlink(b"b", b"../../../../etc"))
    yield _case("a link through /proc", symlink(b"p", b"/proc/self/cwd") + file(b"p/x"), through)
    yield _case("a socket", header(b"s", kind=b"\x0c"), "s is a member of type")


def _beyond_path_max(outside: Path) -> bytes:
    """Folders and links so long together that `os.path.realpath` stops resolving before it sees where they lead."""
    part, made_ = b"d" * 247, b""
    path = b""
    for letter in b"abcdefghijklmnop":
        made_ += extended(record(b"path", path + part)) + folder(b"cut")
        made_ += extended(record(b"path", path + bytes([letter])) + record(b"linkpath", part)) + symlink(b"cut", b"cut")
        path += part + b"/"
    chain = b"/".join(bytes([letter]) for letter in b"abcdefghijklmnop")
    made_ += extended(record(b"path", chain + b"/" + b"l" * 254) + record(b"linkpath", b"../" * 16)) + symlink(
        b"c", b"c"
    )
    up = chain + b"/" + b"l" * 254 + b"/../" + outside.name.encode()
    made_ += extended(record(b"linkpath", up)) + symlink(b"escape", b"cut")
    return made_ + file(b"escape/precious", b"evil") + END


def _numbers() -> Iterator[Case]:
    """Sizes and modes that no file has."""
    nines = (
        b"7" * 11,
        b"\x80" + b"\x7f" + b"\xff" * 10,
        b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7,
        b"\x80" + b"\0" * 3 + b"\x80" + bytes(7),
    )
    for number, field in enumerate(nines):
        yield _case(f"an absurd size, {number}", header(b"huge", size_field=field.ljust(12, b"\0")), "huge")
    yield _case("CVE-2025-8194: a negative size in base 256", header(b"n", size_field=b"\xff" * 11 + b"\xfe"), "number")
    yield _case("a size with a sign", header(b"n", size_field=b"-0000000001\0"), "number")
    yield _case("a size with a plus", header(b"n", size_field=b"+0000000001\0"), "number")
    yield _case(
        "a size with digits that are not ASCII", header(b"n", size_field="¹²³".encode("latin-1").ljust(12)), "number"
    )
    yield _case("a size with an underscore", header(b"n", size_field=b"0000_000001\0"), "number")
    yield _case("a pax size of 2^64", extended(record(b"size", b"%d" % (1 << 64))) + file(b"n"), "n")
    yield _case("a pax size in other digits", extended(record(b"size", "४".encode())) + file(b"n"), "not a size")
    hidden = header(b"a", 512) + file(b"b")
    yield _case(
        "CVE-2025-62518: two sizes, of which one hides a member", extended(record(b"size", b"1024")) + hidden, "1024 by"
    )
    yield _case("a size of nothing over a size", extended(record(b"size", b"0")) + hidden, "0 by")
    yield _case("a set-user-id root shell", file(b"sh", b"#!/bin/sh\n", mode=0o4755))
    yield _case("a mode beyond all modes", header(b"m", mode=0o7777777))


def _chains() -> Iterator[Case]:
    """Headers for headers."""
    many = b"".join(extended(record(b"comment.%d" % n, b"x" * 900_000)) for n in range(64))
    yield _case("sixty megabytes of attributes for one member", many + file(b"f"))
    yield _case("a thousand long names for one member", extended(b"a\0", b"L") * 1000 + file(b"f"), "extended headers")
    yield _case("a long name and a long name", extended(b"a\0", b"L") + extended(b"b\0", b"L") + file(b"f"), "path")
    yield _case("a long name of a mebibyte", extended(b"x" * ((1 << 20) - 1) + b"\0", b"L") + file(b"f"), "path of")
    yield _case("a long name without an end", header(b"@", 1 << 19, kind=b"L") + bytes(512), "truncated")
    yield _case("a pax header for a pax header", extended(record(b"path", b"a")) * 2 + file(b"f"), "extended headers")
    yield _case("a path of NUL in a pax header", extended(record(b"path", b"\0")) + file(b"f"), "NUL")
    yield _case("an empty path in a pax header", extended(record(b"path", b"")) + file(b"f"), "empty")
    yield _case(
        "a path given twice in one pax header",
        extended(record(b"path", b"a") + record(b"path", b"../b")) + file(b"f"),
        "b",
    )
    yield _case("a pax length with leading zeros", extended(b"0000000010 a=b\n"), "pax")
    yield _case("a pax length that overlaps", extended(b"11 path=a\n11 path=../x\n") + file(b"f"), "pax")
    yield _case("an attribute of every kind", extended(b"".join(
        record(key, b"\xff\0\n=") for key in (b"SCHILY.xattr.security.capability", b"LIBARCHIVE.xattr.user.a", b"RHT.security.selinux", b"mtime", b"uid")
    )) + file(b"f"))  # fmt: skip
    yield _case(
        "sparse by an old header",
        header(b"s", 512, kind=b"S", prefix=b"\0" * 41 + b"00000000000\0") + bytes(512),
        "sparse",
    )
    yield _case("sparse by pax 0.1", extended(record(b"GNU.sparse.map", b"0,1,2,3")) + file(b"f"), "sparse")
    yield _case(
        "sparse by pax 1.0 with a size",
        extended(record(b"GNU.sparse.realsize", b"%d" % (1 << 62))) + file(b"f"),
        "sparse",
    )
    yield _case("a multi-volume member", header(b"m", kind=b"M"), "m is a member of type")
    yield _case("a dump of a folder", header(b"d", kind=b"D"), "d is a member of type")


def _names() -> Iterator[Case]:
    """Names that mean two things, or something to who reads them later."""
    yield _case("names that differ in case", file(b"A", b"1") + file(b"a", b"2"))
    yield _case("names that look alike", file("é".encode(), b"1") + file("e\u0301".encode(), b"2"))
    yield _case("a name with an escape sequence in an error", file(b"\x1b[2J/../x"), "\\x1b[2J")
    yield _case("a name with a line feed in an error", file(b"a\nerror: all is well/../x"), "\\n")
    yield _case("a name that reads backwards in an error", file("\u202egpj/../x".encode()), "\\u202e")
    yield _case("a whiteout of everything above", file(b"d/.wh..wh..opq"))
    yield _case("a whiteout that is a folder", folder(b".wh.d"), "whiteout")
    yield _case("a whiteout by a hard link", file(b"f") + hard_link(b".wh.x", b"f"), "whiteout")
    yield _case("a file below a whiteout", file(b".wh.d/x"))
    yield _case("a drive letter", file(b"C:\\Windows\\x"))
    yield _case("a network share", file(b"\\\\host\\share\\x"))
    yield _case("dots that are encoded", file(b"%2e%2e/x") + file(b"..%2fx") + file(b"\xc0\xae\xc0\xae/x"))
    yield _case("a surrogate in UTF-8", file(b"\xed\xa0\x80"))
    yield _case("a folder two thousand deep", _deep(b"d/" * 2000 + b"x"), "deeper than")
    yield _case("a deep folder that is replaced", _deep(b"d/" * 500 + b"x") + file(b"d"))
    yield _case("a path of two thousand parts through pax", _deep(b"d/" * 2040 + b"x"), "deeper than")


def _deep(path: bytes) -> bytes:
    return extended(record(b"path", path)) + file(b"cut")


def _packed() -> Iterator[Case]:
    """Gzip around the tar."""
    tar = file(b"f", b"data" * 1000) + END
    whole = gzip.compress(tar, mtime=0)
    for name, data, says in [
        ("gzip that is cut off", whole[:-9], "damaged"),
        ("gzip with a wrong CRC", whole[:-8] + bytes(4) + whole[-4:], "damaged"),
        ("gzip with a wrong length", whole[:-4] + bytes(4), "damaged"),
        ("gzip with something behind it", whole + b"behind", "damaged"),
        ("gzip with an unknown method", whole[:2] + b"\x07" + whole[3:], "damaged"),
        ("gzip with a name that never ends", whole[:3] + b"\x08" + whole[4:10] + b"n" * (1 << 20), "damaged"),
        ("no gzip", b"\x1f\x8b" * 1000, "damaged"),
        ("nothing", b"", ""),
        ("gzip in gzip", gzip.compress(whole, mtime=0), "tar"),
    ]:
        yield Case(name, "layer", PACKED, made(data), ("layer ", says) if says else ())


def _bombs() -> Iterator[Case]:
    """A lot out of a little: as much as a disk may have, and as many as a file system."""
    yield Case("a third of a gibibyte of zeros", "layer", PACKED, lambda _: _zeros(300 << 20), ("would be larger",))
    yield Case("five thousand empty files", "layer", PACKED, _many, ())
    yield Case("a million files", "listing", PACKED, lambda _: _million(), ("layer ", "not to its diff ID"))
    yield Case("a member of eight exabytes", "layer", PACKED, lambda _: gzip.compress(
        header(b"huge", size_field=b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7)), ("layer ", "huge"))  # fmt: skip


def _million() -> bytes:
    """A million members with a name each, made in blocks."""
    packer, template = zlib.compressobj(1, zlib.DEFLATED, 31), np.frombuffer(header(b"0000000"), np.uint8)
    parts, size = [], 20_000
    for start in range(0, 1_000_000, size):
        block = np.tile(template, (size, 1))
        numbers = np.arange(start, start + size)
        digits = numbers[:, None] // 10 ** np.arange(6, -1, -1) % 10
        block[:, :7] = digits + ord("0")
        sums = digits.sum(axis=1) + sum(header(b"0000000")) - sum(header(b"0000000")[148:156]) + 256
        block[:, 148:154] = sums[:, None] // 8 ** np.arange(5, -1, -1) % 8 + ord("0")
        parts.append(packer.compress(block.tobytes()))
    return b"".join([*parts, packer.compress(END), packer.flush()])


def _zeros(size: int) -> bytes:
    """A file of zeros in a tar, without making them all."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    out = io.BytesIO(packer.compress(header(b"zeros", size)))
    out.seek(0, 2)
    for _ in range(size >> 20):
        out.write(packer.compress(bytes(1 << 20)))
    out.write(packer.flush())
    return out.getvalue()


def _many(_: Path) -> bytes:
    """Very many members, as bytes that compress well."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    parts = [packer.compress(b"".join(header(b"%06d" % (n + m)) for m in range(1000))) for n in range(0, 5_000, 1000)]
    return b"".join([*parts, packer.compress(END), packer.flush()])
