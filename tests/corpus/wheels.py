"""Wheels made to be read differently by two programs, to write where they should not, or to hurt their reader.

Each has a valid twin: the same wheel without the lie, which must be accepted. Precedents: CVE-2007-4559 and
CVE-2026-1703 (paths), CVE-2024-0450 (overlaps), CVE-2025-54368 (local header against directory, ambiguous ends),
CVE-2025-8869 (links).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from unit.layers.zips import DEVICE, LINK, METADATA, Zipped, deflate, parts, zipped

DATA = b"harmless " * 40
STREAM = deflate(DATA)
PLAIN = zipped(parts(Zipped("demo/x", DATA)))
CRC = zlib.crc32(DATA)
NOTHING = {"crc": 0, "packed": 0, "size": 0}
EMPTY = {"crc": 0, "size": 0}
SMALL = {"size": 999}


def wheel(*members: Zipped, **documents: bytes | None) -> bytes:
    return zipped(parts(*members, **documents))


def named(name: str | bytes, **fields: int) -> bytes:
    return wheel(Zipped(name, DATA, **fields))


def descriptor(size: int) -> bytes:
    form = b"PK\x07\x08" + struct.pack("<3L", CRC, len(STREAM), size)
    return wheel(Zipped("demo/x", DATA, flags=8, local=NOTHING, descriptor=form))


def hidden_member() -> bytes:
    """Trailing bytes that would end this member's stream and begin another gzip member in the layer."""
    return STREAM + struct.pack("<2L", CRC, len(DATA)) + b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + STREAM


def moved(offset: int) -> bytes:
    """Two members of which the second is said to begin `offset` bytes into the first."""
    first = Zipped("demo/x", DATA + b"PK", method=0)
    second = Zipped("demo/y", DATA, central={"offset": offset} if offset >= 0 else {})
    return zipped([first, second, *parts()])


def unicode_path(name: bytes) -> bytes:
    return wheel(Zipped("demo/x", DATA, extra=struct.pack("<2HBL", 0x7075, 5 + len(name), 1, 0) + name))


def second_end(comment: bytes) -> bytes:
    return zipped(parts(), comment=comment + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0))


def ended(**end: int) -> bytes:
    return zipped(parts(), end=end)


def ended64(at: int, count: int) -> bytes:
    """A wheel of `count` members with a zip64 end of its directory, which is said to be `at` bytes off."""
    whole = zipped(parts())
    length, offset = struct.unpack_from("<2L", whole, len(whole) - 10)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, offset)
    found = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(whole) - 22 + at, 1)
    return (
        whole[:-22] + end64 + found + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0)
    )


def scripted(text: bytes) -> bytes:
    return wheel(**{"entry_points.txt": b"[console_scripts]\n" + text + b"\n"})


def info(name: str) -> bytes:
    return zipped([Zipped(f"{name}/METADATA", METADATA), *parts()])


@dataclass
class Twins:
    """A bad wheel, why it is bad, and the same without the lie."""

    name: str
    why: str
    bad: bytes
    good: bytes = field(default=PLAIN, repr=False)


TWINS = [
    # Names
    Twins("parent folder", "no name for a file", named("demo/../../../x"), named("demo/..x")),
    Twins("parent folder at the end", "no name for a file", named("demo/.."), named("demo/x..")),
    Twins("this folder", "no name for a file", named("./demo/x"), named("demo/.x")),
    Twins("absolute", "no name for a file", named("/etc/cron.d/x"), named("etc/cron.d/x")),
    Twins("empty part", "no name for a file", named("demo//x"), named("demo/x")),
    Twins("empty", "no name for a file", named("")),
    Twins("backslash", "no name for a file", named("demo\\..\\x.py"), named("demo/x.py")),
    Twins("NUL", "no name for a file", named("demo/x.py\0.txt"), named("demo/x.py.txt")),
    Twins("newline", "no name for a file", named("demo/x\nRECORD"), named("demo/x RECORD")),
    Twins("escape sequence", "no name for a file", named("demo/\x1b[2Jx")),
    Twins("whiteout", "no name for a file", named("demo/.wh.numpy"), named("demo/wh.numpy")),
    Twins("opaque whiteout", "no name for a file", named(".wh..wh..opq"), named("wh.opq")),
    Twins("part too long", "no name for a file", named("d/" + "é" * 128, flags=1 << 11), named("d/" + "e" * 255)),
    Twins("name too long", "no name for a file", named("d/" * 600 + "x"), named("d/" * 500 + "x")),
    Twins("name not UTF-8", "no name in UTF-8", named(b"demo/\xff\xfe", flags=1 << 11), named("demo/ü", flags=1 << 11)),
    Twins("name in an unknown encoding", "no name in UTF-8", named("demo/ü"), named("demo/u")),
    Twins("second name", "second name", unicode_path(b"demo/y"), unicode_path(b"demo/x")),
    # Members against each other
    Twins("twice", "there twice", zipped([Zipped("demo/x", b"1"), Zipped("demo/x", b"2"), *parts()])),
    Twins("file and folder", "a file and a folder", zipped([Zipped("demo/x", b"1"), Zipped("demo/x/y"), *parts()])),
    Twins("two to one place", "two members go", wheel(Zipped("x"), Zipped("demo-1.0.data/purelib/x"))),
    Twins("same bytes", "overlaps", moved(0), moved(-1)),
    Twins("one inside another", "overlaps", moved(20), moved(-1)),
    Twins("inside the directory", "overlaps", wheel(Zipped("demo/x", DATA, central={"offset": len(PLAIN) - 90}))),
    # Kinds
    Twins("symbolic link", "a symbolic link", named("demo/x", mode=LINK), named("demo/x")),
    Twins("device", "a device", named("demo/x", mode=DEVICE)),
    Twins("folder with content", "a directory with", named("demo/folder/")),
    Twins("encrypted", "encrypted", named("demo/x", flags=1)),
    Twins("strongly encrypted", "encrypted", named("demo/x", flags=1 | 1 << 6)),
    Twins("method bzip2", "compression method 12", wheel(Zipped("demo/x", b"", method=12))),
    Twins("method deflate64", "compression method 9", wheel(Zipped("demo/x", b"", method=9))),
    # Content against the directory
    Twins("other CRC", "has CRC-32", wheel(Zipped("demo/x", DATA, central={"crc": 1}, local={"crc": 1}))),
    Twins("size too small", "not 9 bytes", wheel(Zipped("demo/x", DATA, central={"size": 9}, local={"size": 9}))),
    Twins("size too large", "not 999 bytes", wheel(Zipped("demo/x", DATA, central={"size": 999}, local={"size": 999}))),
    Twins("size that cannot be", "cannot be", wheel(Zipped("demo/x", DATA, central={"size": 1 << 30}))),
    Twins("stored with two sizes", "cannot be", wheel(Zipped("demo/x", DATA, method=0, central={"size": 9}))),
    Twins("empty with content", "not 0 bytes", wheel(Zipped("demo/x", DATA, central=EMPTY, local=dict(EMPTY)))),
    Twins("no stream", "no DEFLATE stream", wheel(Zipped("demo/x", DATA, stream=b"\xff" * 50))),
    Twins("stream cut off", "does not end", wheel(Zipped("demo/x", DATA, stream=STREAM[:-3]))),
    Twins("stream ends early", "does not end", wheel(Zipped("demo/x", DATA, stream=STREAM + b"\0"))),
    Twins("hidden gzip member", "does not end", wheel(Zipped("demo/x", DATA, stream=hidden_member()))),
    Twins(
        "bomb behind a small size",
        "not 999 bytes",
        wheel(Zipped("demo/x", bytes(10 << 20), central=SMALL, local=dict(SMALL))),
    ),
    # Directory against local headers
    Twins("other local name", "another name", wheel(Zipped("demo/x", DATA, local={"name": b"demo/y"}))),
    Twins("other local method", "another method", wheel(Zipped("demo/x", DATA, local={"method": 0}))),
    Twins("locally encrypted", "another method", wheel(Zipped("demo/x", DATA, local={"flags": 1}))),
    Twins("other local size", "another size or CRC", wheel(Zipped("demo/x", DATA, local={"size": 9}))),
    Twins("other local CRC", "another size or CRC", wheel(Zipped("demo/x", DATA, local={"crc": 9}))),
    Twins("sizes nowhere", "another size or CRC", wheel(Zipped("demo/x", DATA, local=NOTHING)), descriptor(len(DATA))),
    Twins("lying data descriptor", "data descriptor", descriptor(9), descriptor(len(DATA))),
    Twins("zip64 size missing", "no zip64 size", wheel(Zipped("demo/x", DATA, central={"size": 0xFFFFFFFF}))),
    Twins("broken extra field", "broken extra field", wheel(Zipped("demo/x", DATA, extra=b"\1\0\xff\xff"))),
    # The ends
    Twins("no zip file", "does not end like a zip", b"\x1f\x8b" * 100),
    Twins("nothing", "does not end like a zip", b""),
    Twins("cut off", "does not end like a zip", PLAIN[:-10]),
    Twins("cut off at the front", "should end at byte", PLAIN[20:]),
    Twins("something before", "should end at byte", b"#!/bin/sh\nexit\n" + PLAIN),
    Twins("something behind", "does not end like a zip", PLAIN + b"\0"),
    Twins("two ends", "two ends", second_end(b""), zipped(parts(), comment=b"hello")),
    Twins("more members than told", "members take", ended(count=3, here=3), ended(count=4, here=4)),
    Twins("fewer members than told", "directory is broken", ended(count=5, here=5), ended(count=4, here=4)),
    Twins("several disks", "several disks", ended(here=3), ended(here=4)),
    Twins("two million members", "at most", ended64(0, 2_000_000), ended64(0, 4)),
    Twins("zip64 without locator", "no locator", ended(count=0xFFFF, here=0xFFFF)),
    Twins("zip64 elsewhere", "zip64", ended64(-1, 4), ended64(0, 4)),
    # What a wheel says about itself
    Twins("no dist-info", "0 .dist-info", zipped([Zipped("demo/x", DATA)])),
    Twins("two dist-infos", "2 .dist-info", info("other-1.0.dist-info")),
    Twins("another's dist-info", "says numpy", zipped([Zipped("numpy-1.0.dist-info/METADATA", METADATA)])),
    Twins("another version's", "says demo 2.0", zipped([Zipped("demo-2.0.dist-info/METADATA", METADATA)])),
    Twins("another name within", "METADATA says evil", wheel(METADATA=b"Name: evil\nVersion: 1.0\n")),
    Twins(
        "version within",
        "says demo 1.1",
        wheel(METADATA=b"Name: demo\nVersion: 1.1\n"),
        wheel(METADATA=b"Name: DEMO\nVersion: 1\n"),
    ),
    Twins(
        "name in the description",
        "METADATA says",
        wheel(METADATA=b"Metadata-Version: 2.1\n\nName: demo\nVersion: 1.0\n"),
    ),
    Twins("no METADATA", "has no", wheel(METADATA=None)),
    Twins("no RECORD", "has no", wheel(RECORD=None)),
    Twins("RECORD not UTF-8", "RECORD is broken", wheel(RECORD=b"\xff")),
    Twins("of the future", "other than 1", wheel(WHEEL=b"Wheel-Version: 2.0\n"), wheel(WHEEL=b"Wheel-Version: 1.99\n")),
    # Where it wants to go
    Twins(
        "foreign data folder", "is not the demo-1.0.data", named("other-1.0.data/data/x"), named("demo-1.0.data/data/x")
    ),
    Twins(
        "unknown scheme", "unknown scheme", named("demo-1.0.data/stdlib/os.py"), named("demo-1.0.data/purelib/os.py")
    ),
    Twins("no scheme", "belongs to no scheme", named("demo-1.0.data/x")),
    Twins(
        "script called python",
        "belongs to the environment",
        named("demo-1.0.data/scripts/python3.11"),
        named("demo-1.0.data/scripts/python-x"),
    ),
    Twins(
        "pyvenv.cfg",
        "belongs to the environment",
        named("demo-1.0.data/data/pyvenv.cfg"),
        named("demo-1.0.data/data/etc/pyvenv.cfg"),
    ),
    Twins(
        "lib as a file",
        "belongs to the environment",
        named("demo-1.0.data/data/lib"),
        named("demo-1.0.data/data/lib/x"),
    ),
    Twins(
        "the interpreter's link", "belongs to the environment", named("demo-1.0.data/data/lib/python3.11/site-packages")
    ),
    Twins(
        "entry point called python",
        "belongs to the environment",
        scripted(b"python = demo:main"),
        scripted(b"py = demo:main"),
    ),
    Twins("entry point elsewhere", "names no function", scripted(b"../../x = demo:main"), scripted(b"x.y = demo:main")),
    Twins("hidden entry point", "names no function", scripted(b".bashrc = demo:main")),
    Twins(
        "code in an entry point",
        "names no function",
        scripted(b"x = demo:main;import os"),
        scripted(b"x = demo : main"),
    ),
    Twins("code in a module", "names no function", scripted(b"x = os,sys:main"), scripted(b"x = os.sys:main")),
    Twins("entry point without function", "names no function", scripted(b"x = demo")),
    Twins("broken entry points", "entry_points.txt is broken", wheel(**{"entry_points.txt": b"x = y"})),
]
