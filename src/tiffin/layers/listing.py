"""What a layer holds, read in one pass without unpacking it: paths, sizes, digests, and whose each file is.

Whose is told by the package databases that travel with the files: a wheel's RECORD (PyPA, "Recording installed
projects") and Debian's `var/lib/dpkg` (a `status` or `status.d`, and the `.md5sums` of each package).
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import BinaryIO

import msgspec

from tiffin.errors import IntegrityError
from tiffin.layers.members import DIRECTORY, FILE, HARD_LINK, Member, Tar
from tiffin.layers.unpack import ENTRIES, LIMIT, tar_of
from tiffin.oci.digest import Digest

WHEEL = "wheel"
DEB = "deb"
NOBODY = -1
_NAMES_LIMIT = 256 << 20
"""Bytes that all paths of a layer may have together."""
_TEXT_LIMIT = 8 << 20
"""Bytes of the largest package database that is read; a longer one tells nothing."""
_DIST_INFO = re.compile(r"(?:.*/)?([^/]+)-([^/-]+)\.(?:dist|egg)-info/(METADATA|PKG-INFO|RECORD)")
_DPKG = re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+|info/[^/]+\.md5sums)")
_STANZA = re.compile(r"^(Package|Version|Status): (.*)$", re.MULTILINE)
_NORMAL = re.compile(r"[-_.]+")


class Package(msgspec.Struct, frozen=True, order=True):
    """A package that a layer brings: `wheel` or `deb`, its normalised name and its version."""

    kind: str
    name: str
    version: str


class File(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file or link of a layer; `digest` is the sha256 of its content, `owner` an index into the packages."""

    path: str
    size: int
    digest: str = ""
    link: str = ""
    hard: bool = False
    owner: int = NOBODY


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in a layer but its directories; `unpacked` is its size in bytes as a tar."""

    unpacked: int
    files: list[File]
    packages: list[Package]
    texts: dict[str, str] = {}


def list_layer(
    blob: BinaryIO, media_type: str, diff_id: Digest, *, keep: Iterable[str] = (), limit: int = LIMIT
) -> Listing:
    """List a layer and check its diff ID; the texts of the files named by `keep` come along.

    Raises IntegrityError for bytes that are damaged, hostile or not the diff ID's.
    """
    reading = _Reading(frozenset(keep))
    with tar_of(blob, media_type, diff_id, limit) as tar:
        for member in tar.members():
            reading.take(member, tar)
    return reading.listing(tar.count)


class _Reading:
    """A layer half read: its files, and the databases that say whose they are."""

    def __init__(self, keep: frozenset[str]) -> None:
        self._keep = keep
        self._files: dict[str, File] = {}
        self._names = 0
        self._databases: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def take(self, member: Member, tar: Tar) -> None:
        if member.kind == DIRECTORY:
            return
        path = plain_path(member.path)
        self._names += len(path)
        if len(self._files) == ENTRIES or self._names > _NAMES_LIMIT:
            raise IntegrityError(f"it has more than {ENTRIES} paths, or paths of more than {_NAMES_LIMIT} bytes")
        if member.kind != FILE:
            hard = member.kind == HARD_LINK
            self._files[path] = File(path, 0, link=plain_path(member.link) if hard else _text(member.link), hard=hard)
            return
        wanted = path in self._keep or _DPKG.fullmatch(path) or _DIST_INFO.fullmatch(path)
        text = bytearray() if wanted and member.size <= _TEXT_LIMIT else None
        self._files[path] = File(path, member.size, _hashed(tar, text))
        if text is not None:
            kept = self._texts if path in self._keep else self._databases
            kept[path] = text.decode("utf-8", "replace")

    def listing(self, unpacked: int) -> Listing:
        belongs = owned(self._databases)
        packages = sorted(belongs)
        owners = {path: at for at, package in enumerate(packages) for path in belongs[package]}
        files = [
            msgspec.structs.replace(file, owner=owners[path]) if path in owners else file
            for path, file in sorted(self._files.items())
        ]
        return Listing(unpacked=unpacked, files=files, packages=packages, texts=self._texts)


def _hashed(tar: Tar, text: bytearray | None) -> str:
    digest = hashlib.sha256()
    for piece in tar.content():
        digest.update(piece)
        if text is not None:
            text += piece
    return digest.hexdigest()


def plain_path(path: bytes) -> str:
    """Return a path from the root, without `./` before it."""
    return str(PurePosixPath("/", _text(path))).lstrip("/")


def _text(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")


def owned(databases: dict[str, str]) -> dict[Package, set[str]]:
    """Say which packages the databases speak of, given by their paths, and the paths that are each one's own."""
    owned: dict[Package, set[str]] = {}
    debs: dict[str, Package] = {}
    for path, text in databases.items():
        if found := _DIST_INFO.fullmatch(path):
            package = Package(WHEEL, _NORMAL.sub("-", found[1]).lower(), found[2])
            owned.setdefault(package, {path}).update(_recorded(path, text) if found[3] == "RECORD" else ())
        elif not path.endswith(".md5sums"):
            debs |= {package.name: package for package in _stanzas(text)}
    owned |= {package: set() for package in debs.values()}
    for path, text in databases.items():
        name = PurePosixPath(path).name.removesuffix(".md5sums").partition(":")[0]
        if path.endswith(".md5sums") and name in debs:
            owned[debs[name]].update(line.partition("  ")[2] for line in text.splitlines())
    return owned


def _recorded(path: str, text: str) -> list[str]:
    """The paths in a RECORD, from the root; those that lead out of site-packages are resolved by their text."""
    site = PurePosixPath(path).parent.parent
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error:
        return []
    return [_joined(site, row[0]) for row in rows if row and row[0]]


def _joined(site: PurePosixPath, name: str) -> str:
    if ".." not in name:
        return f"{site}/{name}"
    parts: list[str] = []
    for part in (*site.parts, *PurePosixPath(name).parts):
        if part == "..":
            del parts[-1:]
        else:
            parts.append(part)
    return "/".join(parts)


def _stanzas(text: str) -> Iterable[Package]:
    for stanza in text.split("\n\n"):
        fields = dict(_STANZA.findall(stanza))
        if fields.keys() >= {"Package", "Version"} and fields.get("Status", "installed").endswith("installed"):
            yield Package(DEB, fields["Package"], fields["Version"])
