"""A wheel of the shape and size of nvidia-cublas: two libraries, one of them 749 MB, that compress to two thirds.

Its content repeats every 16 MiB, far beyond the 32 KiB that DEFLATE looks back, so it is compressed once and written
many times over: a decompressor cannot tell, and making it takes seconds.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

NAME, VERSION = "nvidia-cublas", "1.0"
LIBRARIES = {"nvidia/cublas/lib/libcublasLt.so.12": 749_000_000, "nvidia/cublas/lib/libcublas.so.12": 107_000_000}
UNIT = 16 << 20
"""Bytes that repeat."""
RARE, COMMON = 48, 24
"""Byte values that are rare, and those that most of it is made of: as dense as machine code, but without repeats."""

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")


def write_big_wheel(folder: Path) -> Path:
    """Write the wheel into a folder and return its path."""
    path = folder / f"nvidia_cublas-{VERSION}-py3-none-manylinux_2_27_x86_64.whl"
    info = f"nvidia_cublas-{VERSION}.dist-info"
    documents = {
        "METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-manylinux_2_27_x86_64\n",
        "RECORD": "".join(f"{name},,\n" for name in LIBRARIES),
    }
    with path.open("wb") as file:
        writer = _Writer(file)
        unit = _unit()
        for name, size in LIBRARIES.items():
            writer.add(name, _repeated(unit, size))
        for name, text in documents.items():
            writer.add(f"{info}/{name}", iter([(text.encode(), _deflated(text.encode()))]))
        writer.finish()
    return path


def _unit() -> tuple[bytes, bytes]:
    """Make what repeats, plain and deflated."""
    generator = random.Random(580)  # noqa: S311 - keeps no secret
    table = bytes(value if value < RARE else value % COMMON for value in range(256))
    plain = generator.randbytes(UNIT).translate(table)
    return plain, _deflated(plain)


def _repeated(unit: tuple[bytes, bytes], size: int) -> Iterator[tuple[bytes, bytes]]:
    while size >= UNIT:
        yield unit
        size -= UNIT
    rest = unit[0][:size]
    yield rest, _deflated(rest)


def _deflated(data: bytes) -> bytes:
    """Compress into blocks that end on a byte and of which none is the last, so that more may follow."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


class _Writer:
    """A zip file being written from streams that are compressed already."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._directory = b""
        self._count = 0

    def add(self, name: str, pieces: Iterator[tuple[bytes, bytes]]) -> None:
        offset, crc, size, packed = self._file.tell(), 0, 0, 0
        self._file.write(bytes(_LOCAL.size) + name.encode())
        for plain, deflated in pieces:
            crc, size, packed = zlib.crc32(plain, crc), size + len(plain), packed + len(deflated)
            self._file.write(deflated)
        last = zlib.compressobj(1, zlib.DEFLATED, -15).flush()
        self._file.write(last)
        packed += len(last)
        end = self._file.tell()
        self._file.seek(offset)
        self._file.write(_LOCAL.pack(b"PK\x03\x04", 20, 0, 8, 0, 33, crc, packed, size, len(name), 0))
        self._file.seek(end)
        central = (
            b"PK\x01\x02",
            0x0314,
            20,
            0,
            8,
            0,
            33,
            crc,
            packed,
            size,
            len(name),
            0,
            0,
            0,
            0,
            0o100644 << 16,
            offset,
        )
        self._directory += _CENTRAL.pack(*central) + name.encode()
        self._count += 1

    def finish(self) -> None:
        start = self._file.tell()
        self._file.write(self._directory)
        self._file.write(_END.pack(b"PK\x05\x06", 0, 0, self._count, self._count, len(self._directory), start, 0))
