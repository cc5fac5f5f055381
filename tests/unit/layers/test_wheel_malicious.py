"""Wheels made to be read differently by two programs, to write where they should not, or to hurt their reader.

Each has a valid twin: the same wheel without the lie, which must be accepted. Precedents: CVE-2007-4559 and
CVE-2026-1703 (paths), CVE-2024-0450 (overlaps), CVE-2025-54368 (local header against directory, ambiguous ends),
CVE-2025-8869 (links).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tiffin.errors import IntegrityError
from tiffin.layers.wheel import WheelSource
from tiffin.layers.wheel_layers import wheel_layer
from unit.layers.shelf import Shelf
from unit.layers.zips import DEVICE, INFO, LINK, METADATA, Zipped, deflate, parts, zipped

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
class Case:
    name: str
    why: str
    bad: bytes
    good: bytes = field(default=PLAIN, repr=False)


CASES = [
    # Names
    Case("parent folder", "no name for a file", named("demo/../../../x"), named("demo/..x")),
    Case("parent folder at the end", "no name for a file", named("demo/.."), named("demo/x..")),
    Case("this folder", "no name for a file", named("./demo/x"), named("demo/.x")),
    Case("absolute", "no name for a file", named("/etc/cron.d/x"), named("etc/cron.d/x")),
    Case("empty part", "no name for a file", named("demo//x"), named("demo/x")),
    Case("empty", "no name for a file", named("")),
    Case("backslash", "no name for a file", named("demo\\..\\x.py"), named("demo/x.py")),
    Case("NUL", "no name for a file", named("demo/x.py\0.txt"), named("demo/x.py.txt")),
    Case("newline", "no name for a file", named("demo/x\nRECORD"), named("demo/x RECORD")),
    Case("escape sequence", "no name for a file", named("demo/\x1b[2Jx")),
    Case("whiteout", "no name for a file", named("demo/.wh.numpy"), named("demo/wh.numpy")),
    Case("opaque whiteout", "no name for a file", named(".wh..wh..opq"), named("wh.opq")),
    Case("part too long", "no name for a file", named("d/" + "é" * 128, flags=1 << 11), named("d/" + "e" * 255)),
    Case("name too long", "no name for a file", named("d/" * 600 + "x"), named("d/" * 500 + "x")),
    Case("name not UTF-8", "no name in UTF-8", named(b"demo/\xff\xfe", flags=1 << 11), named("demo/ü", flags=1 << 11)),
    Case("name in an unknown encoding", "no name in UTF-8", named("demo/ü"), named("demo/u")),
    Case("second name", "second name", unicode_path(b"demo/y"), unicode_path(b"demo/x")),
    # Members against each other
    Case("twice", "there twice", zipped([Zipped("demo/x", b"1"), Zipped("demo/x", b"2"), *parts()])),
    Case("file and folder", "a file and a folder", zipped([Zipped("demo/x", b"1"), Zipped("demo/x/y"), *parts()])),
    Case("two to one place", "two members go", wheel(Zipped("x"), Zipped("demo-1.0.data/purelib/x"))),
    Case("same bytes", "overlaps", moved(0), moved(-1)),
    Case("one inside another", "overlaps", moved(20), moved(-1)),
    Case("inside the directory", "overlaps", wheel(Zipped("demo/x", DATA, central={"offset": len(PLAIN) - 90}))),
    # Kinds
    Case("symbolic link", "a symbolic link", named("demo/x", mode=LINK), named("demo/x")),
    Case("device", "a device", named("demo/x", mode=DEVICE)),
    Case("folder with content", "a directory with", named("demo/folder/")),
    Case("encrypted", "encrypted", named("demo/x", flags=1)),
    Case("strongly encrypted", "encrypted", named("demo/x", flags=1 | 1 << 6)),
    Case("method bzip2", "compression method 12", wheel(Zipped("demo/x", b"", method=12))),
    Case("method deflate64", "compression method 9", wheel(Zipped("demo/x", b"", method=9))),
    # Content against the directory
    Case("other CRC", "has CRC-32", wheel(Zipped("demo/x", DATA, central={"crc": 1}, local={"crc": 1}))),
    Case("size too small", "not 9 bytes", wheel(Zipped("demo/x", DATA, central={"size": 9}, local={"size": 9}))),
    Case("size too large", "not 999 bytes", wheel(Zipped("demo/x", DATA, central={"size": 999}, local={"size": 999}))),
    Case("size that cannot be", "cannot be", wheel(Zipped("demo/x", DATA, central={"size": 1 << 30}))),
    Case("stored with two sizes", "cannot be", wheel(Zipped("demo/x", DATA, method=0, central={"size": 9}))),
    Case("empty with content", "not 0 bytes", wheel(Zipped("demo/x", DATA, central=EMPTY, local=dict(EMPTY)))),
    Case("no stream", "no DEFLATE stream", wheel(Zipped("demo/x", DATA, stream=b"\xff" * 50))),
    Case("stream cut off", "does not end", wheel(Zipped("demo/x", DATA, stream=STREAM[:-3]))),
    Case("stream ends early", "does not end", wheel(Zipped("demo/x", DATA, stream=STREAM + b"\0"))),
    Case("hidden gzip member", "does not end", wheel(Zipped("demo/x", DATA, stream=hidden_member()))),
    Case(
        "bomb behind a small size",
        "not 999 bytes",
        wheel(Zipped("demo/x", bytes(10 << 20), central=SMALL, local=dict(SMALL))),
    ),
    # Directory against local headers
    Case("other local name", "another name", wheel(Zipped("demo/x", DATA, local={"name": b"demo/y"}))),
    Case("other local method", "another method", wheel(Zipped("demo/x", DATA, local={"method": 0}))),
    Case("locally encrypted", "another method", wheel(Zipped("demo/x", DATA, local={"flags": 1}))),
    Case("other local size", "another size or CRC", wheel(Zipped("demo/x", DATA, local={"size": 9}))),
    Case("other local CRC", "another size or CRC", wheel(Zipped("demo/x", DATA, local={"crc": 9}))),
    Case("sizes nowhere", "another size or CRC", wheel(Zipped("demo/x", DATA, local=NOTHING)), descriptor(len(DATA))),
    Case("lying data descriptor", "data descriptor", descriptor(9), descriptor(len(DATA))),
    Case("zip64 size missing", "no zip64 size", wheel(Zipped("demo/x", DATA, central={"size": 0xFFFFFFFF}))),
    Case("broken extra field", "broken extra field", wheel(Zipped("demo/x", DATA, extra=b"\1\0\xff\xff"))),
    # The ends
    Case("no zip file", "does not end like a zip", b"\x1f\x8b" * 100),
    Case("nothing", "does not end like a zip", b""),
    Case("cut off", "does not end like a zip", PLAIN[:-10]),
    Case("cut off at the front", "should end at byte", PLAIN[20:]),
    Case("something before", "should end at byte", b"#!/bin/sh\nexit\n" + PLAIN),
    Case("something behind", "does not end like a zip", PLAIN + b"\0"),
    Case("two ends", "two ends", second_end(b""), zipped(parts(), comment=b"hello")),
    Case("more members than told", "members take", ended(count=3, here=3), ended(count=4, here=4)),
    Case("fewer members than told", "directory is broken", ended(count=5, here=5), ended(count=4, here=4)),
    Case("several disks", "several disks", ended(here=3), ended(here=4)),
    Case("two million members", "at most", ended64(0, 2_000_000), ended64(0, 4)),
    Case("zip64 without locator", "no locator", ended(count=0xFFFF, here=0xFFFF)),
    Case("zip64 elsewhere", "zip64", ended64(-1, 4), ended64(0, 4)),
    # What a wheel says about itself
    Case("no dist-info", "0 .dist-info", zipped([Zipped("demo/x", DATA)])),
    Case("two dist-infos", "2 .dist-info", info("other-1.0.dist-info")),
    Case("another's dist-info", "says numpy", zipped([Zipped("numpy-1.0.dist-info/METADATA", METADATA)])),
    Case("another version's", "says demo 2.0", zipped([Zipped("demo-2.0.dist-info/METADATA", METADATA)])),
    Case("another name within", "METADATA says evil", wheel(METADATA=b"Name: evil\nVersion: 1.0\n")),
    Case(
        "version within",
        "says demo 1.1",
        wheel(METADATA=b"Name: demo\nVersion: 1.1\n"),
        wheel(METADATA=b"Name: DEMO\nVersion: 1\n"),
    ),
    Case(
        "name in the description",
        "METADATA says",
        wheel(METADATA=b"Metadata-Version: 2.1\n\nName: demo\nVersion: 1.0\n"),
    ),
    Case("no METADATA", "has no", wheel(METADATA=None)),
    Case("no RECORD", "has no", wheel(RECORD=None)),
    Case("RECORD not UTF-8", "RECORD is broken", wheel(RECORD=b"\xff")),
    Case("of the future", "other than 1", wheel(WHEEL=b"Wheel-Version: 2.0\n"), wheel(WHEEL=b"Wheel-Version: 1.99\n")),
    # Where it wants to go
    Case(
        "foreign data folder", "is not the demo-1.0.data", named("other-1.0.data/data/x"), named("demo-1.0.data/data/x")
    ),
    Case("unknown scheme", "unknown scheme", named("demo-1.0.data/stdlib/os.py"), named("demo-1.0.data/purelib/os.py")),
    Case("no scheme", "belongs to no scheme", named("demo-1.0.data/x")),
    Case(
        "script called python",
        "belongs to the environment",
        named("demo-1.0.data/scripts/python3.11"),
        named("demo-1.0.data/scripts/python-x"),
    ),
    Case(
        "pyvenv.cfg",
        "belongs to the environment",
        named("demo-1.0.data/data/pyvenv.cfg"),
        named("demo-1.0.data/data/etc/pyvenv.cfg"),
    ),
    Case(
        "lib as a file",
        "belongs to the environment",
        named("demo-1.0.data/data/lib"),
        named("demo-1.0.data/data/lib/x"),
    ),
    Case(
        "the interpreter's link", "belongs to the environment", named("demo-1.0.data/data/lib/python3.11/site-packages")
    ),
    Case(
        "entry point called python",
        "belongs to the environment",
        scripted(b"python = demo:main"),
        scripted(b"py = demo:main"),
    ),
    Case("entry point elsewhere", "names no function", scripted(b"../../x = demo:main"), scripted(b"x.y = demo:main")),
    Case("hidden entry point", "names no function", scripted(b".bashrc = demo:main")),
    Case(
        "code in an entry point",
        "names no function",
        scripted(b"x = demo:main;import os"),
        scripted(b"x = demo : main"),
    ),
    Case("code in a module", "names no function", scripted(b"x = os,sys:main"), scripted(b"x = os.sys:main")),
    Case("entry point without function", "names no function", scripted(b"x = demo")),
    Case("broken entry points", "entry_points.txt is broken", wheel(**{"entry_points.txt": b"x = y"})),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_malicious_wheel_is_refused_with_its_reason_and_its_twin_is_not(
    case: Case, shelf: Shelf, tmp_path: Path
) -> None:
    bad, good = tmp_path / "demo-1.0-py3-none-any.whl", tmp_path / "twin.whl"
    bad.write_bytes(case.bad)
    good.write_bytes(case.good)
    with pytest.raises(IntegrityError) as caught:
        wheel_layer([WheelSource(path=bad, name="demo", version="1.0")], shelf)
    assert case.why in caught.value.message
    assert caught.value.message.startswith(f"{bad.name}: ")
    assert caught.value.hint
    assert not shelf.blobs
    wheel_layer([WheelSource(path=good, name="demo", version="1.0")], shelf)


def test_a_wheel_that_unpacks_to_far_more_than_it_is_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    """Five members that claim, within what DEFLATE allows, to be a gibibyte each."""
    stream = bytes(1 << 20)
    huge = {"size": 1 << 30, "packed": len(stream)}
    members = [Zipped(f"demo/{n}", DATA, stream=stream, central=huge, local=dict(huge)) for n in range(5)]
    path = tmp_path / "demo.whl"
    path.write_bytes(wheel(*members))
    with pytest.raises(IntegrityError, match="far more than"):
        wheel_layer([WheelSource(path=path, name="demo", version="1.0")], shelf)


def test_no_case_is_there_twice() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 80
    assert INFO in CASES[0].good.decode("latin-1")
