"""Wheels and Debian packages that are hostile, beyond those with a harmless twin."""

# ruff: noqa: E501 - a row of a table is read best as one line

from __future__ import annotations

import gzip
import lzma
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from corpus.case import Case, made
from corpus.debs import EVIL, MEMBERS
from corpus.wheels import DATA, TWINS, info, named, scripted, wheel
from unit.layers.zips import INFO, Zipped, deflate, parts, zipped
from unit.packages.debian.makers import folder, make_ar, make_deb, make_tar, member, symlink

WHEEL = "demo-1.0-py3-none-any.whl"
DEB = "hello_1.0-1_amd64.deb"


def wheels() -> Iterator[Case]:
    """Every hostile wheel: those with a twin, and these."""
    for twins in TWINS:
        yield Case(twins.name, "wheel", WHEEL, made(twins.bad), (WHEEL, twins.why))
    yield from _names()
    yield from _bombs()
    yield from _lies()


def _wheel(name: str, data: bytes, *says: str) -> Case:
    return Case(name, "wheel", WHEEL, made(data), (WHEEL, *says) if says else ())


def _names() -> Iterator[Case]:
    odd = "no name for a file"
    for name in (
        "..\\..\\x",
        "C:\\x",
        "\\\\host\\share\\x",
        "demo/..",
        "demo/./x",
        "../demo/x",
        "demo/../x",
        "~/../x",
        "demo/\r",
    ):
        yield _wheel(f"the name {name!r}", named(name), odd)
    yield _wheel("a drive letter", named("C:/x"))
    yield _wheel("a name of percent signs", named("demo/%2e%2e/x"))
    yield _wheel("a surrogate", named(b"demo/\xed\xa0\x80", flags=1 << 11), "no name in UTF-8")
    yield _wheel("an overlong dot", named(b"demo/\xc0\xae\xc0\xae/x", flags=1 << 11), "no name in UTF-8")
    yield _wheel("names that differ in case", wheel(Zipped("demo/A", b"1"), Zipped("demo/a", b"2")))
    yield _wheel("a name that begins with a scheme of its own", named("demo-1.0.data/data/../../x"), odd)
    yield _wheel("an absolute path below a scheme", named("demo-1.0.data/data//etc/x"), odd)
    yield _wheel("CVE-2026-1703: a sibling of the data folder", named("demo-1.0.data2/../x"), odd)
    yield _wheel("a script that leaves bin", named("demo-1.0.data/scripts/../../x"), odd)
    yield _wheel("a header that leaves its folder", named("demo-1.0.data/headers/../x"), odd)
    yield _wheel("a fifo", named("demo/x", mode=0o010644), "a fifo")
    yield _wheel("a socket", named("demo/x", mode=0o140644), "a socket")
    yield _wheel("a block device", named("demo/x", mode=0o060644), "a device")
    yield Case(
        "CVE-2025-8869: a link and a member through it", "wheel", WHEEL, _through_link, (WHEEL, "a symbolic link")
    )


def _through_link(outside: Path) -> bytes:
    return wheel(Zipped("demo/l", bytes(outside), mode=0o120777, method=0), Zipped("demo/l/precious", b"evil"))


def _bombs() -> Iterator[Case]:
    yield _wheel("Fifield's bomb: members that share one stream", _overlapped(250), "overlaps")
    yield _wheel("CVE-2024-0450: members quoted in members", _quoted(50), "overlaps")
    yield _wheel("a gibibyte from a mebibyte", _claiming(5), "far more than")
    yield Case(
        "twenty thousand members", "wheel", WHEEL, lambda _: wheel(*(Zipped(f"d/{n}") for n in range(20_000))), ()
    )
    yield _wheel("a directory of half a gibibyte", _end64(count=900_000, length=500 << 20), "")
    yield _wheel("2^63 members", _end64(count=1 << 63, length=46), "")
    yield _wheel("a directory of 2^64 bytes", _end64(count=4, length=(1 << 64) - 1), "")
    yield _wheel(
        "a METADATA of sixty megabytes", wheel(METADATA=b"Name: demo\nVersion: 1.0\n" + bytes(60 << 20)), "METADATA"
    )
    yield _wheel(
        "an entry_points.txt of five thousand names", scripted(b"\n".join(b"x%d = demo:main" % n for n in range(5_000)))
    )
    yield _wheel(
        "a RECORD of one field of thirty megabytes", wheel(RECORD=b'"' + b"x" * (30 << 20)), "RECORD is broken"
    )
    yield _wheel("a zip64 size of 2^63", wheel(Zipped("demo/x", DATA, extra=struct.pack("<2H2Q", 1, 16, 1 << 63, 1 << 63), central={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF})), "demo/x")  # fmt: skip
    yield _wheel("a stream without an end", wheel(Zipped("demo/x", bytes(1 << 20), stream=_endless())), "demo/x")
    yield _wheel(
        "a stream of empty blocks", wheel(Zipped("demo/x", DATA, stream=b"\0\0\0\xff\xff" * 100_000 + deflate(DATA)))
    )


def _overlapped(count: int) -> bytes:
    stream = deflate(bytes(1 << 20))
    first = Zipped("demo/0", bytes(1 << 20), stream=stream)
    return zipped([first, *(Zipped(f"demo/{n}", bytes(1 << 20), stream=b"", central={"offset": 0, "packed": len(stream)}) for n in range(1, count)), *parts()])  # fmt: skip


def _quoted(count: int) -> bytes:
    return zipped([*(Zipped(f"demo/{n}", DATA, central={"packed": 9999}, local={"packed": 9999}) for n in range(count)), *parts()])  # fmt: skip


def _claiming(count: int) -> bytes:
    stream, huge = bytes(1 << 20), {"size": 1 << 30, "packed": 1 << 20}
    return wheel(*(Zipped(f"demo/{n}", DATA, stream=stream, central=huge, local=dict(huge)) for n in range(count)))


def _endless() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)


def _end64(count: int, length: int) -> bytes:
    whole = zipped(parts())
    offset = struct.unpack_from("<L", whole, len(whole) - 6)[0]
    end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, offset)
    found = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(whole) - 22, 1)
    return whole[:-22] + end + found + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0)


def _lies() -> Iterator[Case]:
    yield _wheel("a RECORD of files that are not there", wheel(RECORD=b"ghost.py,sha256=x,1\n../../x,sha256=y,2\n"))
    yield _wheel("a RECORD with other hashes", wheel(RECORD=b"demo/__init__.py,sha256=AAAA,12\n"))
    yield _wheel("a RECORD of NUL", wheel(RECORD=b"demo/\0,sha256=x,1\n"))
    yield _wheel("a name with a line feed", scripted(b"x\n y = demo:main"))
    yield _wheel("an entry point with a quote", scripted(b"x = demo:main'+__import__('os')+'"), "names no function")
    yield _wheel("an entry point of a keyword", scripted(b"x = demo:main()"), "names no function")
    yield _wheel("an entry point named with a slash", scripted(b"/etc/x = demo:main"), "names no function")
    yield _wheel("an entry point with a NUL", scripted(b"x\0 = demo:main"), "names no function")
    yield _wheel("an entry point beyond ASCII", scripted(b"\xef\xbd\x98 = demo:main"), "names no function")
    yield _wheel(
        "an entry point that replaces pip's python", scripted(b"python3.13 = demo:main"), "belongs to the environment"
    )
    yield _wheel(
        "a shebang of another interpreter", wheel(Zipped("demo-1.0.data/scripts/x", b"#!python -c 'evil'\nx\n"))
    )
    yield _wheel(
        "entry points in UTF-16", wheel(**{"entry_points.txt": "[console_scripts]".encode("utf-16")}), "not UTF-8"
    )
    yield _wheel("entry points with an interpolation", scripted(b"x = %(home)s:main"), "names no function")
    yield _wheel("two METADATA", zipped([*parts(), Zipped(f"{INFO}/METADATA", b"Name: evil\n")]), "there twice")
    yield _wheel("METADATA with two names", wheel(METADATA=b"Name: evil\nName: demo\nVersion: 1.0\n"), "says evil")
    yield _wheel("METADATA with a name over two lines", wheel(METADATA=b"Name: demo\n evil\nVersion: 1.0\n"))
    yield _wheel("another dist-info by case", info("Demo-1.0.dist-info"), "2 .dist-info")
    yield _wheel("a dist-info that is a file", zipped([Zipped("demo-1.0.dist-info", b"x")]), "0 .dist-info")
    yield Case("a name that is no wheel's", "wheel", "demo.whl", made(zipped(parts())), ("demo.whl", "not the name"))
    yield Case(
        "another package's name", "wheel", "numpy-2.0-py3-none-any.whl", made(zipped(parts())), ("should be numpy",)
    )


def debs() -> Iterator[Case]:
    """Every hostile package: those with a twin, and these."""
    for name, (evil, why) in EVIL.items():
        yield Case(name, "deb", DEB, made(make_deb([*MEMBERS, evil])), (DEB, why))
    yield from _ar()
    yield from _control()
    yield from _data()


def _deb(name: str, data: bytes, *says: str) -> Case:
    return Case(name, "deb", DEB, made(data), (DEB, *says) if says else ())


def _parts(control: bytes = b"", data: bytes = b"") -> list[tuple[str, bytes]]:
    return [
        ("debian-binary", b"2.0\n"),
        ("control.tar", control or make_tar([member("./control", b"Package: hello\nVersion: 1\n")])),
        ("data.tar", data or make_tar([folder("./")])),
    ]


def _ar() -> Iterator[Case]:
    whole = make_ar(_parts())
    for name, field in [("2^40", b"1099511627776"[:10]), ("negative", b"-1"), ("hexadecimal", b"0x10"), ("nothing", b""), ("nines", b"9" * 10), ("a point", b"1.0"), ("digits beyond ASCII", b"\xef\xbc\x91")]:  # fmt: skip
        yield _deb(f"an ar size of {name}", whole[:56] + field.ljust(10) + whole[66:], "")
    yield _deb("an ar header without its end", whole[:66] + b"xx" + whole[68:], "no header of an ar")
    yield _deb(
        "control twice",
        make_ar([*_parts()[:2], ("control.tar.xz", lzma.compress(b"")), *_parts()[2:]]),
        "does not belong",
    )
    yield _deb("data before control", make_ar([_parts()[0], _parts()[2], _parts()[1]]), "does not belong")
    yield _deb("data behind data, which dpkg ignores", make_ar([*_parts(), ("data.tar", b"evil")]))
    yield _deb("a long name of GNU's", make_ar([_parts()[0], ("//", b"control.tar.gz/\n")]), "does not belong")
    yield _deb(
        "a name with a slash", make_ar([_parts()[0], ("../control.tar", b"x"), *_parts()[1:]]), "does not belong"
    )
    yield _deb("a thin archive", b"!<thin>\n" + whole[8:], "ar archive")
    yield _deb("no archive", b"PK\x03\x04" * 100, "ar archive")
    yield _deb("nothing", b"", "ar archive")
    yield _deb("another format", make_ar([("debian-binary", b"9.9\n"), *_parts()[1:]]), "format 2")
    yield _deb(
        "a control bomb", make_ar([_parts()[0], ("control.tar.gz", _zeros(65 << 20)), _parts()[2]]), "unpacks to more"
    )
    yield _deb("two gzip members", make_ar([*_parts()[:2], ("data.tar.gz", gzip.compress(b"") * 2)]), "after its end")
    yield _deb("xz with a dictionary of gigabytes", make_ar([*_parts()[:2], ("data.tar.xz", _hungry())]), "data.tar.xz")
    yield _deb("xz that is no xz", make_ar([*_parts()[:2], ("data.tar.xz", b"\xfd7zXZ\0" + b"\xff" * 90)]), "damaged")


def _zeros(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)), packer.flush()])


def _hungry() -> bytes:
    """An xz stream that says that it needs a dictionary of 4 GiB."""
    whole = bytearray(lzma.compress(bytes(100), preset=0))
    at = whole.index(b"\x21\x01") + 2
    whole[at] = 40
    end = 12 + (whole[12] + 1) * 4
    whole[end - 4 : end] = zlib.crc32(whole[12 : end - 4]).to_bytes(4, "little")
    return bytes(whole)


def _control() -> Iterator[Case]:
    for name in ("../../../etc/cron.d/x", "/etc/x", "a/b", "", "x" * 300, ".", "a\0b", "a\x1b[2J"):
        tar = make_tar([member("./control", f"Package: {name}\nVersion: 1\n".encode())])
        yield _deb(f"a package called {name[:30]!r}", make_ar(_parts(control=tar)), "")
    tar = make_tar([member("./control", b"Package: hello\n"), member("./control", b"Package: evil\n")])
    yield _deb("two control files", make_ar(_parts(control=tar)), "control.tar", "twice")
    yield _deb("no control file", make_ar(_parts(control=make_tar([member("./postinst", b"x")]))), "which package")
    yield _deb(
        "a control file that is a link", make_ar(_parts(control=make_tar([symlink("./control", "/etc/passwd")]))), ""
    )
    yield _deb(
        "a control file of noise", make_ar(_parts(control=make_tar([member("./control", bytes(range(256)))]))), ""
    )
    evil = make_deb(MEMBERS, scripts={"postinst": "#!/bin/sh\nrm -rf /\n"})
    yield Case("a script that removes everything", "deb", DEB, made(evil), ("hello", "postinst"))
    yield _deb(
        "a script that is a device",
        make_ar(_parts(control=make_tar([member("./postinst", type=tarfile.CHRTYPE)]))),
        "device",
    )
    yield _deb("sums of other files", make_deb(MEMBERS, control="Depends: hello (= 1)\n"))


def _data() -> Iterator[Case]:
    twice = [member("./a", b"1"), member("./A", b"2")]
    yield _deb("names that differ in case", make_deb(twice))
    loop = [symlink("./a", "b"), symlink("./b", "a"), member("./a/x", b"")]
    yield _deb("a file through a loop of links", make_deb(loop), "no directory")
    yield Case(
        "a file through a link to outside",
        "deb",
        DEB,
        lambda outside: make_deb([symlink("./l", str(outside)), member("./l/precious", b"evil")]),
        (DEB, "no directory"),
    )
    yield _deb(
        "a merged folder that is a link elsewhere", make_deb([symlink("./bin", "/tmp"), member("./bin/x", b"")]), ""
    )
    yield _deb("a data tar without its end", make_ar(_parts(data=make_tar([member("./x", b"1")])[:1024])), "truncated")
    yield _deb("a data tar with a wrong checksum", make_ar(_parts(data=b"x" * 1024)), "no tar header")
    yield _deb("a name of a kilobyte of dots", make_deb([member("./" + "../" * 300 + "x", b"")]), "outside")
    yield _deb("set-id files, which become ordinary", make_deb([member("./su", b"x", mode=0o6755)]))
    yield _deb(
        "two hundred thousand and one files", make_ar([*_parts()[:2], ("data.tar.gz", _many(200_001))]), "more than"
    )


def _many(count: int) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT)
    pieces = [packer.compress(_renamed(block, n)) for n in range(count)]
    return b"".join([*pieces, packer.compress(bytes(1024)), packer.flush()])


def _renamed(block: bytes, number: int) -> bytes:
    name = b"%07d" % number
    total = sum(block) - sum(block[148:156]) + 256 - ord("x") + sum(name)
    return name + block[7:148] + b"%06o\0 " % total + block[156:]
