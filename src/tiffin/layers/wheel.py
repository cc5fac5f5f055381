"""One wheel, read strictly: what it is, and the entries it comes to in an image.

Everything a wheel says about itself is held against everything else it says; where two programs could read it
differently it is refused with IntegrityError, which names the file and the member.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import msgspec
from isal.isal_zlib import crc32

from tiffin.errors import IntegrityError
from tiffin.layers.entry import Entry
from tiffin.layers.scripts import entry_point_scripts, is_python_script, with_interpreter
from tiffin.layers.slim import needed_tests, spare
from tiffin.layers.wheel_names import (
    SITE,
    Place,
    Rule,
    check_name,
    is_bytecode,
    normal_name,
    parse_wheel_name,
    place,
    same_version,
    script_path,
)
from tiffin.layers.wheel_record import Row, read_record, write_record
from tiffin.layers.zip_archive import Archive
from tiffin.layers.zip_directory import Member
from tiffin.oci.digest import CHUNK
from tiffin.progress import note

INSTALLER = b"tiffin\n"
_REWRITTEN = {"INSTALLER", "RECORD", "RECORD.jws", "RECORD.p7s", "REQUESTED", "direct_url.json"}
"""Made anew, or left out since they say how and why something was installed, or sign a RECORD that is made anew."""
_DOCUMENT = 32 << 20
"""Bytes of the largest METADATA, RECORD or script that is read whole."""
_SOURCE = 256 << 20
"""Bytes of the largest Python source that is looked through for imports."""
_BOMB_SIZE, _BOMB_RATIO = 4 << 30, 100
"""A wheel that unpacks to more than so many bytes and to more than so many times its size is refused."""


class WheelSource(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel on disk and what it should be."""

    path: Path
    name: str
    version: str

    @classmethod
    def named(cls, path: Path) -> WheelSource:
        """Take name and version from the file's name; raises ConfigError where it is no wheel's."""
        name, version = parse_wheel_name(path.name)
        return cls(path=path, name=name, version=version)


class WheelMember(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a wheel brings into an image, with its size in bytes and its CRC-32."""

    path: str
    size: int
    crc: int
    executable: bool


class Wheel:
    """An open wheel, checked."""

    def __init__(self, source: WheelSource, archive: Archive, *, slim: bool = False) -> None:
        self.source = source
        self._archive = archive
        with archive.naming():
            self._members = _by_name(archive.members)
            self._info = _find_info(self._members, source)
            self._placed = self._place_all()
            self._check_documents()
            if slim:
                self._placed = self._without_spare()

    @classmethod
    @contextlib.contextmanager
    def opened(cls, source: WheelSource, *, slim: bool = False) -> Iterator[Self]:
        """Open a wheel for as long as its entries are used; `slim` leaves out what serving does not need."""
        with Archive(source.path) as archive:
            yield cls(source, archive, slim=slim)

    def entries(self) -> list[Entry]:
        """Make the wheel's entries: members to be spliced, scripts, INSTALLER and RECORD."""
        with self._archive.naming():
            made = self._made()
            record = read_record(self._document("RECORD"))
            rows = [Row.of(path, data) for path, data in made.items()]
            entries = [Entry.of(path, data, executable=not path.startswith(SITE)) for path, data in made.items()]
            for member, placed in self._placed:
                if placed.path not in made:
                    executable = member.executable or placed.rule is Rule.SCRIPT
                    entries.append(self._archive.entry(member, placed.path, executable=executable))
                    rows.append(_row(member, placed.path, record))
            path = f"{SITE}/{self._info}/RECORD"
            return [*entries, Entry.of(path, write_record([*rows, Row(path)]))]

    def files(self) -> list[WheelMember]:
        """List what the wheel brings into an image, by path."""
        files = [
            WheelMember(path=entry.path, size=entry.size, crc=_crc(entry), executable=bool(entry.mode & 0o100))
            for entry in self.entries()
        ]
        return sorted(files, key=lambda file: file.path)

    def _place_all(self) -> list[tuple[Member, Place]]:
        """Decide where every member goes that is not made anew."""
        data = self._info.removesuffix(".dist-info") + ".data"
        distribution = normal_name(self.source.name)
        members = [member for member in self._members.values() if not member.is_directory]
        rewritten = {f"{self._info}/{name}" for name in _REWRITTEN}
        placed = [(m, place(m.name, data, distribution)) for m in members if m.name not in rewritten]
        _refuse_clashes(where.path for _, where in placed)
        return [(m, where) for m, where in placed if not is_bytecode(where.path)]

    def _without_spare(self) -> list[tuple[Member, Place]]:
        """Leave out what serving does not need."""
        members = {placed.path: member for member, placed in self._placed}
        needed = needed_tests(members, lambda path: self._archive.read(members[path], _SOURCE))
        left_out = spare(members, needed)
        return [(member, placed) for member, placed in self._placed if placed.path not in left_out]

    def _made(self) -> dict[str, bytes]:
        """Make the files that are not in the wheel as they will be in the image, by their paths."""
        made = {f"{SITE}/{self._info}/INSTALLER": INSTALLER}
        for member, placed in self._placed:
            if placed.rule is Rule.SCRIPT and is_python_script(self._archive.begin(member)):
                made[placed.path] = with_interpreter(self._archive.read(member, _DOCUMENT))
        if f"{self._info}/entry_points.txt" in self._members:
            text = _text(self._document("entry_points.txt"), "entry_points.txt")
            made |= {script_path(name): script for name, script in entry_point_scripts(text).items()}
        return made

    def _check_documents(self) -> None:
        """Hold METADATA and WHEEL against what the wheel should be."""
        total = sum(member.size for member in self._members.values())
        if total > max(_BOMB_SIZE, _BOMB_RATIO * self.source.path.stat().st_size):
            raise IntegrityError(f"it unpacks to {total} bytes, far more than a wheel of its size holds")
        if _field(self._document("WHEEL"), "Wheel-Version").partition(".")[0] != "1":
            raise IntegrityError("its WHEEL says that it is of a version other than 1")
        metadata = self._document("METADATA")
        _refuse_other(self.source, _field(metadata, "Name"), _field(metadata, "Version"), "METADATA")

    def _document(self, name: str) -> bytes:
        member = self._members.get(f"{self._info}/{name}")
        if member is None:
            raise IntegrityError(f"it has no {self._info}/{name}")
        return self._archive.read(member, _DOCUMENT)


def wheel_files(source: WheelSource) -> list[WheelMember]:
    """List what a wheel brings into an image, by path; raises IntegrityError."""
    with Wheel.opened(source) as wheel:
        return wheel.files()


def _by_name(members: list[Member]) -> dict[str, Member]:
    """Index members by their names, refusing odd ones and what two programs could take for different files."""
    found: dict[str, Member] = {}
    folded: dict[str, str] = {}
    for member in members:
        check_name(member.name)
        if member.name in found:
            raise IntegrityError(f"{member.name} is there twice")
        found[member.name] = member
        other = folded.setdefault(member.name.casefold(), member.name)
        if other != member.name:
            note(f"{other} and {member.name} differ in case only; some systems cannot hold both")
    return found


def _refuse_clashes(paths: Iterable[str]) -> None:
    """Refuse two files at one path, and a file where a folder is."""
    files: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        if path in files:
            raise IntegrityError(f"two members go to {path}")
        files.add(path)
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for path in sorted(files & folders):
        raise IntegrityError(f"{path} is a file and a folder")


def _find_info(members: Iterable[str], source: WheelSource) -> str:
    """Find the one NAME-VERSION.dist-info folder and hold its name against what the wheel should be."""
    folders = sorted({name.partition("/")[0] for name in members if "/" in name})
    infos = [folder for folder in folders if folder.endswith(".dist-info")]
    if len(infos) != 1:
        raise IntegrityError(f"it has {len(infos)} .dist-info folders instead of one: {', '.join(infos)}")
    stem = infos[0].removesuffix(".dist-info")
    name, _, version = stem.partition("-")
    _refuse_other(source, name, version, infos[0])
    for folder in folders:
        if folder.endswith(".data") and folder != f"{stem}.data":
            raise IntegrityError(f"{folder} is not the {stem}.data that belongs to its {infos[0]}")
    return infos[0]


def _refuse_other(source: WheelSource, name: str, version: str, where: str) -> None:
    if normal_name(name) != normal_name(source.name) or not same_version(version, source.version):
        raise IntegrityError(f"it should be {source.name} {source.version}, but {where} says {name} {version}")


def _field(document: bytes, name: str) -> str:
    """Read the first field of that name of a document in the form of an e-mail's header."""
    head = _text(document, name).replace("\r\n", "\n").partition("\n\n")[0]
    match = re.search(rf"^{name}:[ \t]*(\S+)[ \t]*$", head, re.MULTILINE | re.IGNORECASE)
    return match[1] if match else ""


def _text(document: bytes, name: str) -> str:
    try:
        return document.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError(f"its {name} is not UTF-8") from error


def _row(member: Member, path: str, record: dict[str, tuple[str, str]]) -> Row:
    """Take over what the wheel records of a member, unless it is of another size."""
    hash_, size = record.get(member.name, ("", ""))
    return Row(path, hash_, size) if size == str(member.size) else Row(path)


def _crc(entry: Entry) -> int:
    if entry.deflated:
        return entry.deflated.crc
    crc = 0
    if entry.open:
        with entry.open() as stream:
            while data := stream.read(CHUNK):
                crc = crc32(data, crc)
    return crc
