"""The index of a suite: 60,000 packages in 50 MB of text, of which a build needs fifty.

Read once, it is boiled down to the needed fields and kept under the digest of the signed original: a table of where
each package's paragraphs are, then the paragraphs. Opening it again reads the table alone.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.durable import renamed
from tiffin.errors import ConfigError, IntegrityError
from tiffin.oci.digest import CHUNK, Digest
from tiffin.packages.debian.relations import Clause, parse_relations

FORMAT = 1
"""Raised when the file kept on disk changes; it is part of its name."""

_NEEDED = "Package|Version|Architecture|Priority|Pre-Depends|Depends|Conflicts|Breaks|Provides|Filename|Size|SHA256"
_FIELD = re.compile(rf"^(?:{_NEEDED}):.*\n".encode(), re.MULTILINE)
_PRIORITIES = ("required", "important", "standard", "optional", "extra")
_PATH = re.compile(r"pool/[A-Za-z0-9+._~:%-]+(?:/[A-Za-z0-9+_~:%-][A-Za-z0-9+._~:%-]*)+\.deb")

Place = tuple[int, int]
"""Where a paragraph is: its offset and its length, in bytes."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Where the paragraphs of each package are, and which packages provide a virtual one."""

    names: dict[str, list[Place]]
    providers: dict[str, list[str]]


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package as the index describes it; `path` is relative to a mirror's root, `size` is in bytes."""

    name: str
    version: str
    architecture: str
    priority: int
    depends: tuple[Clause, ...]
    conflicts: tuple[Clause, ...]
    provides: tuple[Clause, ...]
    path: str
    sha256: Digest
    size: int

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Index:
    """One suite's packages."""

    def __init__(self, path: Path, where: str) -> None:
        """Open what `keep` has written; `where` says in errors which index it is."""
        self._path, self._where = path, where
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "big")
            self._table = msgspec.msgpack.decode(file.read(length), type=Table)
        self._body = 8 + length

    @property
    def names(self) -> Iterable[str]:
        """The names of all packages."""
        return self._table.names.keys()

    def find(self, name: str) -> list[Package]:
        """Return every version of the package that the index has."""
        return [self._package(place) for place in self._table.names.get(name, ())]

    def providers(self, virtual: str) -> list[str]:
        """Return the names of the packages that provide a virtual one."""
        return self._table.providers.get(virtual, [])

    def _package(self, place: Place) -> Package:
        offset, length = place
        with self._path.open("rb") as file:
            file.seek(self._body + offset)
            return read_package(file.read(length).decode("utf-8", "replace"), self._where)


def kept_at(folder: Path, digest: Digest) -> Path:
    """Return where the boiled-down form of the index with this digest is kept."""
    return folder / f"{digest.hex}.{FORMAT}"


def keep(packed: BinaryIO, target: Path, where: str) -> None:
    """Boil `Packages.xz` down into the file `target`; raises IntegrityError when it is damaged."""
    names, providers, body = dict[str, list[Place]](), dict[str, list[str]](), bytearray()
    for stanza in _stanzas(packed, where):
        fields = _FIELD.findall(stanza)
        name = _value(fields, b"Package:")
        if not name:
            raise IntegrityError(f"{where} has a paragraph that names no package: {stanza[:80]!r}")
        short = b"".join(fields)
        names.setdefault(name, []).append((len(body), len(short)))
        body += short
        for clause in parse_relations(_value(fields, b"Provides:"), f"{where}, {name}"):
            providers.setdefault(clause[0].name, []).append(name)
    table = msgspec.msgpack.encode(Table(names=names, providers={k: sorted(set(v)) for k, v in providers.items()}))
    with renamed(target) as file:
        file.write(len(table).to_bytes(8, "big") + table)
        file.write(body)


def read_package(stanza: str, where: str) -> Package:
    """Read one paragraph; raises IntegrityError that names the package where a field is absent or wrong."""
    fields = {name: value for name, _, value in (line.partition(": ") for line in stanza.splitlines())}
    place = f"{where}, package {fields.get('Package', '?')}"
    try:
        if not _PATH.fullmatch(fields["Filename"]):
            raise IntegrityError(f"{place}: {fields['Filename']!r} is no path in an archive's pool")
        return Package(
            name=fields["Package"],
            version=fields["Version"],
            architecture=fields["Architecture"],
            priority=_priority(fields.get("Priority", "")),
            depends=_clauses(fields, "Pre-Depends", "Depends", place=place),
            conflicts=_clauses(fields, "Conflicts", "Breaks", place=place),
            provides=_clauses(fields, "Provides", place=place),
            path=fields["Filename"],
            sha256=_digest(fields["SHA256"]),
            size=int(fields["Size"]),
        )
    except (KeyError, ValueError) as error:
        raise IntegrityError(f"{place}: the field {error} is absent or wrong") from error


def _clauses(fields: dict[str, str], *names: str, place: str) -> tuple[Clause, ...]:
    return tuple(clause for name in names for clause in parse_relations(fields.get(name, ""), place))


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(f"sha256:{text}")
    except ConfigError as error:
        raise ValueError("SHA256") from error


def _priority(text: str) -> int:
    return _PRIORITIES.index(text) if text in _PRIORITIES else len(_PRIORITIES)


def _value(fields: list[bytes], name: bytes) -> str:
    for field in fields:
        if field.startswith(name):
            return field[len(name) :].strip().decode("utf-8", "replace")
    return ""


def _stanzas(packed: BinaryIO, where: str) -> Iterator[bytes]:
    """Read the paragraphs one by one; each ends with a newline."""
    rest = b""
    for piece in _unpacked(packed, where):
        *whole, rest = (rest + piece).split(b"\n\n")
        for stanza in whole:
            yield stanza + b"\n"
    if rest.strip():
        yield rest.rstrip(b"\n") + b"\n"


def _unpacked(packed: BinaryIO, where: str) -> Iterator[bytes]:
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    try:
        while not unpacker.eof:
            data = packed.read(CHUNK) if unpacker.needs_input else b""
            if unpacker.needs_input and not data:
                raise IntegrityError(f"{where} is truncated", "try again, or use another mirror")
            yield unpacker.decompress(data, CHUNK)
    except lzma.LZMAError as error:
        raise IntegrityError(f"{where} is damaged: {error}", "try again, or use another mirror") from error
