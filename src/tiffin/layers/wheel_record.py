"""RECORD: what a wheel put where, with hashes, as scanners and `importlib.metadata` read it.

Recording installed projects, https://packaging.python.org/en/latest/specifications/recording-installed-packages/.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import posixpath
import re
from collections.abc import Iterable

import msgspec

from tiffin.errors import IntegrityError
from tiffin.layers.wheel_names import SITE

_HASH = re.compile(r"sha(?:256|384|512)=[\w-]+")


class Row(msgspec.Struct, frozen=True):
    """One installed file: its path in the image, its hash (`sha256=...`) and its size in bytes, if known."""

    path: str
    hash: str = ""
    size: str = ""

    @classmethod
    def of(cls, path: str, data: bytes) -> Row:
        """Describe a file that was made here."""
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        return cls(path, f"sha256={digest}", str(len(data)))


def read_record(data: bytes) -> dict[str, tuple[str, str]]:
    """Read the hash and the size of every member that a wheel records; raises IntegrityError."""
    found = {}
    try:
        for row in csv.reader(io.StringIO(data.decode(), newline="")):
            if len(row) >= 3 and _HASH.fullmatch(row[1]) and row[2].isdecimal():  # noqa: PLR2004 - path, hash, size
                found[row[0]] = row[1], row[2]
    except (csv.Error, UnicodeDecodeError) as error:
        raise IntegrityError(f"its RECORD is broken: {error}") from error
    return found


def write_record(rows: Iterable[Row]) -> bytes:
    """Write the RECORD of what is installed, sorted, with paths relative to site-packages."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows(sorted((_relative(row.path), row.hash, row.size) for row in rows))
    return out.getvalue().encode()


def _relative(path: str) -> str:
    return path.removeprefix(SITE + "/") if path.startswith(SITE + "/") else posixpath.relpath(path, SITE)
