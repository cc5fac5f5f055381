"""Zip files written by hand, so that each of their fields can be made to lie."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
REGULAR, EXECUTABLE, LINK, DEVICE = 0o100644, 0o100755, 0o120777, 0o020644


@dataclass
class Zipped:
    """One member; `central` and `local` replace fields of its two headers after they were worked out."""

    name: str | bytes
    data: bytes = b""
    method: int = 8
    mode: int = REGULAR
    flags: int = 0
    stream: bytes | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    descriptor: bytes = b""
    central: dict[str, int] = field(default_factory=dict)
    local: dict[str, int | bytes] = field(default_factory=dict)


def noise(size: int) -> bytes:
    """Bytes that do not compress, the same on each call."""
    return random.Random(size).randbytes(size)  # noqa: S311 - keeps no secret


def shuffled(items: Sequence[T], seed: int = 5) -> list[T]:
    return random.Random(seed).sample(items, len(items))  # noqa: S311 - keeps no secret


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zipped(members: Iterable[Zipped], *, comment: bytes = b"", end: dict[str, int] | None = None) -> bytes:
    """Write a zip file; `end` replaces fields of its last record."""
    out, directory, count = bytearray(), bytearray(), 0
    for member in members:
        offset = len(out)
        name = member.name if isinstance(member.name, bytes) else member.name.encode()
        packed = member.stream
        if packed is None:
            packed = deflate(member.data) if member.method == 8 else member.data
        fields = {"crc": zlib.crc32(member.data), "packed": len(packed), "size": len(member.data), "offset": offset}
        local = {**fields, "flags": member.flags, "method": member.method, "name": name, **member.local}
        out += struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", 20, local["flags"], local["method"], 0, 33,
            local["crc"], local["packed"], local["size"], len(local["name"]), len(member.local_extra),
        )  # fmt: skip
        out += local["name"] + member.local_extra + packed + member.descriptor
        central = {**fields, "flags": member.flags, "method": member.method, **member.central}
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 0x0314, 20, central["flags"], central["method"], 0, 33,
            central["crc"], central["packed"], central["size"], len(name), len(member.extra), 0, 0, 0,
            (member.mode << 16) & 0xFFFFFFFF, central["offset"],
        )  # fmt: skip
        directory += name + member.extra
        count += 1
    last = {"here": count, "count": count, "length": len(directory), "offset": len(out), **(end or {})}
    tail = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, last["here"], last["count"], last["length"], last["offset"], len(comment)
    )
    return bytes(out + directory) + tail + comment


METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
INFO = "demo-1.0.dist-info"


def parts(*extra: Zipped, **documents: bytes | None) -> list[Zipped]:
    """The members of a wheel called demo; a document given as None is left out."""
    known = {"METADATA": METADATA, "WHEEL": WHEEL, "RECORD": b"demo/__init__.py,,\n", **documents}
    return [
        Zipped("demo/__init__.py", b"answer = 42\n"),
        *extra,
        *(Zipped(f"{INFO}/{name}", data) for name, data in known.items() if data is not None),
    ]


def save(folder: Path, data: bytes, name: str = "demo-1.0-py3-none-any.whl") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
