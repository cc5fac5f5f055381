"""A Debian package as entries of a layer: unpacked by us, without dpkg, without root, without running anything.

The package's `data.tar` is spooled to a file once; its entries open their content there. Owners, set-id bits and times
are dropped, hard links become files of their own, and what lies in /bin, /sbin and /lib* is put where those links lead
in a merged /usr (Debian bug #914897, "usrmerge").
"""

from __future__ import annotations

import io
import itertools
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from tiffin.durable import room_in
from tiffin.errors import IntegrityError
from tiffin.layers.deb_archive import expand, find_parts
from tiffin.layers.deb_tar import Member, read_members
from tiffin.layers.entry import Entry, Kind
from tiffin.layers.slice import open_slice
from tiffin.progress import parallel

MERGED = ("bin", "sbin", "lib", "lib64", "lib32", "libx32")
"""Directories of the root that are links into /usr."""

_MOVED = {**{name: f"usr/{name}" for name in MERGED}, "var/run": "run", "var/lock": "run/lock"}

CONTROL_LIMIT = 64 << 20
DATA_LIMIT = 16 << 30
"""Bytes that the two tars may unpack to; Debian's largest packages are under 5 GiB."""

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,200}")
"""What packages are called (Debian Policy 5.6.7); it becomes a file's name."""

SCRIPTS = ("preinst", "postinst")


class Deb(msgspec.Struct, frozen=True, kw_only=True):
    """An opened package; `entries` can be read until `opened` ends."""

    where: str
    stanza: str
    fields: dict[str, str]
    scripts: dict[str, str]
    md5sums: str
    entries: tuple[Entry, ...]

    @property
    def name(self) -> str:
        """The package's name."""
        return self.fields["Package"]

    @property
    def architecture(self) -> str:
        """Debian's name of the architecture, or `all`."""
        return self.fields.get("Architecture", "")


@contextmanager
def opened(paths: Sequence[Path], spool: Path | None = None) -> Iterator[list[Deb]]:
    """Open packages, several at once; their content is spooled to the folder `spool` until the context ends.

    The spools have no names, so that nothing stays behind whatever ends the process. Raises IntegrityError and
    UnsupportedError that name file and member, and FullError.
    """
    with room_in(spool or Path(tempfile.gettempdir())), ExitStack() as stack:
        spools = [stack.enter_context(tempfile.TemporaryFile(dir=spool)) for _ in paths]
        yield parallel(lambda pair: open_deb(*pair), zip(paths, spools, strict=True))


def open_deb(path: Path, spool: BinaryIO) -> Deb:
    """Open one package, spooling its content to the empty file `spool`, which has to stay open while it is read."""
    where = path.name
    with path.open("rb") as file:
        parts = find_parts(file, where)
        control = io.BytesIO(b"".join(expand(file, parts["control.tar"], where, CONTROL_LIMIT)))
        spool.writelines(expand(file, parts["data.tar"], where, DATA_LIMIT))
        spool.flush()
    texts = _texts(control, f"{where}, control.tar")
    fields = read_stanza(texts.get("control", ""))
    if not _NAME.fullmatch(fields.get("Package", "")):
        raise IntegrityError(
            f"{where} does not say which package it is: {fields.get('Package', '')[:100]!r}",
            "delete it and get it anew",
        )
    return Deb(
        where=where,
        stanza=texts["control"],
        fields=fields,
        scripts={name: texts[name] for name in SCRIPTS if name in texts},
        md5sums=texts.get("md5sums", ""),
        entries=tuple(_entries(spool, f"{where}, data.tar")),
    )


def read_stanza(text: str) -> dict[str, str]:
    """Read one paragraph of a control file (deb822(5)); continuation lines stay in their field's text."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and name:
            fields[name] += "\n" + line
        elif ":" in line and not line.startswith("#"):
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    return fields


def merged(path: str) -> str:
    """Return where a path lies once /bin, /sbin and /lib* are links into /usr, and /var/run and /var/lock into /run."""
    for before, after in _MOVED.items():
        if path == before or path.startswith(before + "/"):
            return after + path[len(before) :]
    return path


def _texts(control: io.BytesIO, where: str) -> dict[str, str]:
    """Read the files of `control.tar`, by name."""
    end, texts = len(control.getbuffer()), dict[str, str]()
    for member in read_members(control, end, where):
        if member.path in texts:
            raise IntegrityError(f"{where} has {member.path!r} twice", "delete the file and get it anew")
        if member.type == "0":
            control.seek(member.offset)
            texts[member.path] = control.read(member.size).decode("utf-8", "replace")
    return texts


def _entries(spool: BinaryIO, where: str) -> Iterator[Entry]:
    """Make entries of `data.tar`, in the order of their paths."""
    found: dict[str, Entry] = {}
    for member in read_members(spool, spool.seek(0, io.SEEK_END), where):
        entry = _entry(member, spool, found, where)
        there = found.get(entry.path)
        if there is not None and not there.kind is entry.kind is Kind.DIRECTORY:
            raise IntegrityError(f"{where} has {entry.path!r} twice")
        found[entry.path] = entry
    for path, entry in found.items():
        _check_parents(path, entry, found, where)
    return iter(sorted(found.values(), key=lambda entry: entry.path.encode()))


def _entry(member: Member, spool: BinaryIO, earlier: dict[str, Entry], where: str) -> Entry:
    path = merged(member.path)
    if member.type == "5" or (member.path in MERGED and member.link in (path, f"/{path}")):
        return Entry.directory(path)
    if member.type == "2":
        return Entry.symlink(path, member.link)
    if member.type == "0":
        return Entry.file(
            path, member.size, partial(open_slice, spool, member.offset, member.size), executable=member.executable
        )
    first = earlier.get(merged(member.link))
    if first is None or first.kind is not Kind.FILE:
        raise IntegrityError(f"{where}: {path!r} is a hard link to {member.link!r}, which is no earlier file")
    return msgspec.structs.replace(first, path=path)


def _check_parents(path: str, entry: Entry, found: dict[str, Entry], where: str) -> None:
    for end in itertools.accumulate(len(part) + 1 for part in path.split("/")[:-1]):
        parent = found.get(path[: end - 1])
        if parent is not None and parent.kind is not Kind.DIRECTORY:
            raise IntegrityError(f"{where}: {entry.path!r} lies below {parent.path!r}, which is no directory")
