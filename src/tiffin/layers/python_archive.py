"""An interpreter from an archive, as python-build-standalone packs it: `python/bin/python3.N`, `python/lib/…`, .tar.gz.

It finds its library beside itself, wherever it lies. What no image needs is left out: bytecode, which is made anew,
static libraries, the tests, and the packages that come with it, since an image has its own.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from gzip import BadGzipFile
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
from isal import isal_zlib

from tiffin.durable import room_in
from tiffin.errors import ConfigError, IntegrityError, UnsupportedError
from tiffin.layers.entry import Entry, Kind
from tiffin.layers.interpreter import runs_on
from tiffin.layers.members import DIRECTORY, FILE, SYMLINK, Member, Tar, shown
from tiffin.layers.slice import open_slice
from tiffin.layers.unpack import uncompressed
from tiffin.layers.wheel_names import ARCHIVED_PYTHON as PREFIX
from tiffin.oci.digest import CHUNK
from tiffin.oci.documents import LAYER_GZIP

LIMIT = 4 << 30
"""Bytes an archive may unpack to."""

_TOP = "python"
_HEAD = 4096
_MUSL = b"/ld-musl-"
_LEFT_OUT = re.compile(
    r".*/__pycache__(?:/.*)?|.*\.a|lib/python3\.\d+/(?:test|idlelib/idle_test|site-packages)/.*|share/man(?:/.*)?"
)
_INSTALL_ONLY = "take the `install_only.tar.gz` of the same release"


@contextmanager
def archived_python(archive: Path, python: str, machine: str) -> Iterator[list[Entry]]:
    """Give the entries of the interpreter in an archive, whose content is spooled until the context ends.

    Raises UnsupportedError for another form of archive, ConfigError where it has another Python or is for another
    machine, and IntegrityError for one that is damaged or hostile.
    """
    if not archive.name.endswith((".tar.gz", ".tgz")):
        raise UnsupportedError(f"{archive.name} is no .tar.gz", _INSTALL_ONLY)
    with room_in(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as spool:
        _spool(archive, spool)
        entries = _entries(spool, archive.name)
        _check(entries, python, machine, archive.name)
        yield list(entries.values())


def _spool(archive: Path, spool: BinaryIO) -> None:
    size = 0
    try:
        with archive.open("rb") as packed, uncompressed(packed, LAYER_GZIP) as stream:
            while piece := stream.read(CHUNK):
                size += len(piece)
                if size > LIMIT:
                    raise IntegrityError(f"{archive.name} unpacks to more than {LIMIT} bytes", "is it an interpreter?")
                spool.write(piece)
    except (BadGzipFile, EOFError, cast("type[Exception]", isal_zlib.error)) as error:
        raise IntegrityError(f"{archive.name} is damaged: {error}", "get it anew") from error
    spool.flush()
    spool.seek(0)


def _entries(spool: BinaryIO, where: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    tar = Tar(spool, LIMIT)
    for member in tar.members():
        path = _placed(member.path, where)
        if member.kind != DIRECTORY and not _LEFT_OUT.fullmatch(path.removeprefix(f"{PREFIX}/")):
            found[path] = _entry(path, member, partial(open_slice, spool, tar.position, member.size), found, where)
    return found


def _placed(name: bytes, where: str) -> str:
    """Say where a path of the archive lies in an image; raises for one that is not in its only folder."""
    path = posixpath.normpath(name.decode("utf-8", "replace"))
    if path.startswith(("/", "../")):
        raise IntegrityError(f"{where}: {shown(name)} lies outside of the archive")
    if path.split("/")[0] != _TOP:
        raise UnsupportedError(f"{where}: {shown(name)} is not in the folder {_TOP}", _INSTALL_ONLY)
    return PREFIX + path.removeprefix(_TOP)


def _entry(path: str, member: Member, opener: Callable[[], BinaryIO], earlier: dict[str, Entry], where: str) -> Entry:
    if member.kind == FILE:
        return Entry.file(path, member.size, opener, executable=bool(member.mode & 0o111))
    link = member.link.decode("utf-8", "replace")
    if member.kind == SYMLINK:
        target = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), link))
        if not target.startswith(f"/{PREFIX}/"):
            raise IntegrityError(f"{where}: {member.shown} leads out of the interpreter, to {target}")
        return Entry.symlink(path, link)
    first = earlier.get(_placed(member.link, where))
    if first is None or first.kind is not Kind.FILE:
        raise IntegrityError(f"{where}: {member.shown} is a hard link to what is no earlier file")
    return msgspec.structs.replace(first, path=path)


def _check(entries: dict[str, Entry], python: str, machine: str, where: str) -> None:
    """Refuse an archive that is not the wanted interpreter."""
    programs = {path.rpartition("/")[2]: entry for path, entry in entries.items() if path.startswith(f"{PREFIX}/bin/")}
    program = programs.get(f"python{python}")
    if program is None or program.open is None:
        there = ", ".join(sorted(name for name in programs if re.fullmatch(r"python3\.\d+", name))) or "no Python"
        raise ConfigError(f"{where} has {there}, and the image has Python {python}", "change `[python] version`")
    with program.open() as stream:
        head = stream.read(_HEAD)
    if not runs_on(head, machine):
        raise ConfigError(f"{where} is not for {machine}", "take the archive for the image's platform")
    if _MUSL in head:
        raise UnsupportedError(f"{where} is built on musl, and Debian has the GNU C library", "take the one for `gnu`")
