"""Tars written by hand, so that each of their fields can be made to lie, and those that are hostile."""

from __future__ import annotations

from tiffin.errors import IntegrityError, TiffinError, UnsupportedError

END = bytes(1024)


def header(  # noqa: PLR0913 - a tar header has these fields
    name: bytes,
    size: int = 0,
    *,
    kind: bytes = b"0",
    link: bytes = b"",
    mode: int = 0o644,
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
    size_field: bytes | None = None,
) -> bytes:
    """Write a header as a hostile maker may: nothing is checked but the checksum made right."""
    number = size_field or b"%011o\0" % size
    fields = [name.ljust(100, b"\0"), b"%07o\0" % mode, b"0000000\0" * 2, number, b"%011o\0" % 0, b" " * 8, kind]
    block = (b"".join(fields) + link.ljust(100, b"\0") + magic + bytes(80) + prefix).ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def file(name: bytes, data: bytes = b"data", mode: int = 0o644) -> bytes:
    return header(name, len(data), mode=mode) + padded(data)


def folder(name: bytes, mode: int = 0o755) -> bytes:
    return header(name, kind=b"5", mode=mode)


def symlink(name: bytes, target: bytes) -> bytes:
    return header(name, kind=b"2", link=target)


def hard_link(name: bytes, target: bytes) -> bytes:
    return header(name, kind=b"1", link=target)


def extended(payload: bytes, kind: bytes = b"x") -> bytes:
    return header(b"PaxHeader", len(payload), kind=kind) + padded(payload)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    length += len(str(length + len(str(length))))
    return b"%d %s=%s\n" % (length, key, value)


LONG = b"d/" * 100 + b"x" * 100

HOSTILE: dict[str, tuple[bytes, type[TiffinError]]] = {
    "an absolute name": (file(b"/outside/x"), IntegrityError),
    "a name with dotdot": (file(b"../outside/x"), IntegrityError),
    "a name with dotdot in the middle": (file(b"a/../../outside/x"), IntegrityError),
    "a name that is dotdot": (folder(b".."), IntegrityError),
    "a name that ends in dotdot": (folder(b"a/.."), IntegrityError),
    "dotdot in the ustar prefix": (header(b"x", prefix=b"../outside"), IntegrityError),
    "dotdot in a pax path": (extended(record(b"path", b"../outside/x")) + file(b"ok"), IntegrityError),
    "dotdot in a GNU long name": (extended(b"../outside/x\0", b"L") + file(b"ok"), IntegrityError),
    "a file through a relative link": (symlink(b"l", b"../outside") + file(b"l/x"), IntegrityError),
    "a file through an absolute link": (symlink(b"l", b"/tmp") + file(b"l/x"), IntegrityError),
    "a file through a link inside the layer": (folder(b"d") + symlink(b"l", b"d") + file(b"l/x"), IntegrityError),
    "a folder through a link": (symlink(b"l", b"../outside") + folder(b"l/x"), IntegrityError),
    "a link through a link": (symlink(b"l", b"../outside") + symlink(b"l/x", b"y"), IntegrityError),
    "a file through a link deep down": (
        folder(b"a/b") + symlink(b"a/b/l", b"../../..") + file(b"a/b/l/outside/x"),
        IntegrityError,
    ),
    "a folder replaced by a link and used": (
        folder(b"d") + file(b"d/a") + symlink(b"d", b"../outside") + file(b"d/precious"),
        IntegrityError,
    ),
    "a file below a file": (file(b"f") + file(b"f/x"), IntegrityError),
    "a hard link to outside": (hard_link(b"h", b"../outside/precious"), IntegrityError),
    "a hard link to an absolute path": (hard_link(b"h", b"/etc/passwd"), IntegrityError),
    "a hard link to a symbolic link": (symlink(b"l", b"../outside/precious") + hard_link(b"h", b"l"), IntegrityError),
    "a hard link through a symbolic link": (
        symlink(b"l", b"../outside") + hard_link(b"h", b"l/precious"),
        IntegrityError,
    ),
    "a hard link to a folder": (folder(b"d") + hard_link(b"h", b"d"), IntegrityError),
    "a hard link to what comes later": (hard_link(b"h", b"f") + file(b"f"), IntegrityError),
    "a hard link to itself": (file(b"f") + hard_link(b"f", b"f"), IntegrityError),
    "a hard link to nothing": (hard_link(b"h", b""), IntegrityError),
    "a symbolic link to nothing": (symlink(b"l", b""), IntegrityError),
    "a character device": (header(b"null", kind=b"3"), UnsupportedError),
    "a block device": (header(b"sda", kind=b"4"), UnsupportedError),
    "a fifo": (header(b"pipe", kind=b"6"), UnsupportedError),
    "a GNU sparse file": (header(b"s", kind=b"S"), UnsupportedError),
    "a pax sparse file": (extended(record(b"GNU.sparse.major", b"1")) + file(b"s"), UnsupportedError),
    "an unknown type": (header(b"v", kind=b"V"), UnsupportedError),
    "a whiteout of dotdot": (file(b"d/.wh...", b""), IntegrityError),
    "a whiteout of a folder itself": (file(b"d/.wh..", b""), IntegrityError),
    "a whiteout of nothing": (file(b"d/.wh.", b""), IntegrityError),
    "a folder named as a whiteout": (folder(b"d/.wh.x"), IntegrityError),
    "a whiteout through a link": (symlink(b"l", b"../outside") + file(b"l/.wh.precious", b""), IntegrityError),
    "an opaque whiteout through a link": (symlink(b"l", b"../outside") + file(b"l/.wh..wh..opq", b""), IntegrityError),
    "no name": (file(b""), IntegrityError),
    "a file named as the root": (file(b"."), IntegrityError),
    "a link named as the root": (symlink(b"./", b"../outside"), IntegrityError),
    "a NUL in a pax path": (extended(record(b"path", b"a\0b")) + file(b"ok"), IntegrityError),
    "a NUL in a pax link": (extended(record(b"linkpath", b"a\0b")) + symlink(b"l", b"t"), IntegrityError),
    "a component of 256 bytes": (extended(record(b"path", b"n" * 256)) + file(b"ok"), IntegrityError),
    "a path of 5,000 bytes": (extended(record(b"path", b"n/" * 2500 + b"f")) + file(b"ok"), IntegrityError),
    "pax and GNU names that differ": (
        extended(b"a\0", b"L") + extended(record(b"path", b"b")) + file(b"c"),
        IntegrityError,
    ),
    "a name for every member": (extended(record(b"path", b"a"), b"g") + file(b"c"), IntegrityError),
    "a size for every member": (extended(record(b"size", b"1"), b"g") + file(b"c"), IntegrityError),
    "a pax size with a sign": (extended(record(b"size", b"-1")) + file(b"c"), IntegrityError),
    "a pax record with a wrong length": (extended(b"99 path=a\n") + file(b"c"), IntegrityError),
    "a pax record of length zero": (extended(b"0 path=a\n") + file(b"c"), IntegrityError),
    "a pax record with no end of line": (extended(b"8 path=a") + file(b"c"), IntegrityError),
    "a pax header of two mebibytes": (header(b"p", 2 << 20, kind=b"x") + bytes(2 << 20) + file(b"c"), IntegrityError),
    "a negative size": (header(b"f", size_field=b"\xff" * 12) + END, IntegrityError),
    "a size that is no number": (header(b"f", size_field=b"hello wrld!\0"), IntegrityError),
    "a size that is not octal": (header(b"f", size_field=b"00000000009\0"), IntegrityError),
    "a size beyond the end": (header(b"f", 1 << 20) + b"short", IntegrityError),
    "a size of nearly 2^88 bytes": (header(b"f", size_field=b"\x80" + b"\xff" * 11), IntegrityError),
    "a folder with content": (header(b"d", 512, kind=b"5") + padded(file(b"x"))[:512], IntegrityError),
    "a link with content": (header(b"l", 512, kind=b"2", link=b"t") + bytes(512), IntegrityError),
    "a wrong checksum": (file(b"f")[:100] + b"9" + file(b"f")[101:], IntegrityError),
    "bytes that are no tar": (b"\x7fELF" + bytes(2000), IntegrityError),
    "half a header": (file(b"f") + header(b"g")[:300], IntegrityError),
    "an extended header and no member": (extended(record(b"path", b"a")), IntegrityError),
}
