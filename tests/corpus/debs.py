"""Debian packages that are hostile, and the harmless one that they are made of."""

from __future__ import annotations

import tarfile

from unit.packages.debian.makers import folder, member, symlink

MEMBERS = [
    folder("./"),
    folder("./usr/"),
    folder("./usr/bin/"),
    member("./usr/bin/hello", b"#!/bin/sh\n", mode=0o4755),
    member("./usr/share/doc/hello/copyright", b"GPL", mode=0o600, uid=1000, gid=50, uname="x", mtime=5),
    symlink("./usr/bin/hi", "hello"),
    member("./usr/bin/hallo", type=tarfile.LNKTYPE, linkname="./usr/bin/hello"),
    member("./lib/x86_64-linux-gnu/libx.so.1", b"\x7fELF" * 5000),
]

EVIL = {
    "an absolute name": (member("/etc/passwd", b"x"), "outside of the image"),
    "dots": (member("./usr/../../etc/passwd", b"x"), "outside of the image"),
    "dots at the end": (member("./usr/..", type=tarfile.DIRTYPE), "outside of the image"),
    "a link upwards": (symlink("./usr/x", "../../etc"), "outside of the image"),
    "a link up and down": (symlink("./x", "../x"), "outside of the image"),
    "a link nowhere": (symlink("./x", ""), "leads nowhere"),
    "a hard link outside": (member("./x", type=tarfile.LNKTYPE, linkname="../../etc/shadow"), "outside of the image"),
    "a hard link to an absolute name": (
        member("./x", type=tarfile.LNKTYPE, linkname="/etc/shadow"),
        "outside of the image",
    ),
    "a hard link to nothing": (member("./x", type=tarfile.LNKTYPE, linkname="./y"), "no earlier file"),
    "a hard link to itself": (member("./x", type=tarfile.LNKTYPE, linkname="./x"), "no earlier file"),
    "a hard link to a link": (member("./x", type=tarfile.LNKTYPE, linkname="./usr/bin/hi"), "no earlier file"),
    "a device": (member("./dev/sda", type=tarfile.BLKTYPE), "a block device"),
    "a terminal": (member("./dev/tty", type=tarfile.CHRTYPE), "a character device"),
    "a pipe": (member("./run/pipe", type=tarfile.FIFOTYPE), "a named pipe"),
    "a sparse file": (member("./x", type=tarfile.GNUTYPE_SPARSE), "type 'S'"),
    "the same file twice": (member("./usr/bin/hello", b"evil"), "twice"),
    "the same file twice by another way": (member("./bin/hello", b"evil"), "twice"),
    "a file where a directory is": (member("./usr/bin", b"evil"), "twice"),
    "a file below a link": (member("./usr/bin/hi/there", b"evil"), "no directory"),
    "a file below a file": (member("./usr/bin/hello/there", b"evil"), "no directory"),
    "a deletion": (member("./usr/.wh.bin", b""), "deletion"),
    "a name too long": (member("./" + "x" * 256, b""), "no file system"),
    "a path too long": (member("./" + "x/" * 2500, b""), "name of"),
    "bytes that are no text": (member("./\udcff", b""), "UTF-8"),
}
