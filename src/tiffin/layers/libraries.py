"""The dynamic linker's view of a layer: its ELF files, links and folders of libraries.

It is gathered while the layer is being written, so that a build reads nothing twice, or out of a finished layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import BinaryIO, cast

import msgspec
from isal import isal_zlib

from tiffin.errors import IntegrityError
from tiffin.layers.elf import Elf
from tiffin.layers.entry import Deflated, Entry, Kind
from tiffin.layers.listing import WHEEL, owned, plain_path
from tiffin.layers.members import FILE, HARD_LINK, SYMLINK, Member, Tar
from tiffin.layers.passing import PossibleElf, Reopen, Text
from tiffin.layers.unpack import LIMIT, uncompressed
from tiffin.oci.digest import Digest

_TEXT_LIMIT = 8 << 20
"""Bytes of the largest RECORD or ld.so.conf that is read."""
_MOST = 200_000
"""ELF files and links of a layer: more belong to no image."""
_RECORD = re.compile(r".*\.dist-info/RECORD")
_LINKER = re.compile(r"etc/ld\.so\.conf(?:\.d/[^/]+\.conf)?")
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_BLOCK = 1 << 20


class ElfFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An ELF file of a layer, and the wheel it came in; `damaged` says why one cannot be read."""

    path: str
    owner: str = ""
    elf: Elf | None = None
    damaged: str = ""


class Libraries(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer brings to the dynamic linker; paths are relative to the root."""

    files: tuple[ElfFile, ...]
    links: dict[str, str] = {}
    gone: tuple[str, ...] = ()
    """Paths of lower layers that this one deletes; of an opaque folder, the folder with a slash at its end."""
    folders: tuple[str, ...] = ()
    """Folders that /etc/ld.so.conf and its like name."""


class Gathering:
    """A layer half seen: what it holds for the linker, from whoever reads or writes it."""

    def __init__(self) -> None:
        self._files: dict[str, ElfFile] = {}
        self._links: dict[str, str] = {}
        self._gone: list[str] = []
        self._texts: dict[str, str] = {}

    def link(self, path: str, target: str) -> None:
        """See a link; the target of a hard one begins with a slash."""
        self._room()
        self._links[path] = target

    def file(self, path: str, size: int, reopen: Reopen | None = None) -> Text | PossibleElf | None:
        """Begin to see a file, which `reopen` opens once more; None for one whose content says nothing."""
        self._room()
        folder, _, name = path.rpartition("/")
        if name.startswith(_WHITEOUT):
            self._gone.append(f"{folder}/" if name == _OPAQUE else f"{folder}/{name[len(_WHITEOUT) :]}".lstrip("/"))
            return None
        if _RECORD.fullmatch(path) or _LINKER.fullmatch(path):
            return Text() if size <= _TEXT_LIMIT else None
        return PossibleElf(size, reopen)

    def seen(self, path: str, content: Text | PossibleElf) -> None:
        """End a file that was begun."""
        if isinstance(content, Text):
            self._texts[path] = content.text
            return
        try:
            elf = content.elf(path.rpartition("/")[2].partition(".")[0])
        except IntegrityError as error:
            self._files[path] = ElfFile(path=path, damaged=error.message)
            return
        if elf:
            self._files[path] = ElfFile(path=path, elf=elf)

    def libraries(self) -> Libraries:
        """Say what was seen."""
        owners = {
            path: package.name
            for package, paths in owned({path: text for path, text in self._texts.items() if ".dist-" in path}).items()
            if package.kind == WHEEL
            for path in paths
        }
        named = [text for path, text in sorted(self._texts.items()) if _LINKER.fullmatch(path)]
        return Libraries(
            files=tuple(
                msgspec.structs.replace(file, owner=owners.get(path, "")) for path, file in sorted(self._files.items())
            ),
            links=dict(sorted(self._links.items())),
            gone=tuple(sorted(self._gone)),
            folders=tuple(folder for text in named for folder in text.split() if folder.startswith("/")),
        )

    def _room(self) -> None:
        if len(self._files) + len(self._links) + len(self._gone) > _MOST:
            raise IntegrityError(f"the layer has more than {_MOST} ELF files and links")


def watched(entries: Iterable[Entry], gathering: Gathering) -> list[Entry]:
    """Return the entries such that what is read of them while they become a layer is gathered in passing."""
    return [_watched(entry, gathering) for entry in entries]


def _watched(entry: Entry, gathering: Gathering) -> Entry:
    if entry.kind is Kind.SYMLINK:
        gathering.link(entry.path, entry.link)
    if entry.kind is not Kind.FILE or entry.open is None:
        return entry
    if entry.deflated:
        deflated = Deflated(crc=entry.deflated.crc, pieces=partial(_passing, entry, gathering))
        return msgspec.structs.replace(entry, deflated=deflated)
    if content := gathering.file(entry.path, entry.size, entry.open):
        with entry.open() as stream:  # what is not compressed is at hand: reading it once more costs little
            while (data := stream.read(_BLOCK)) and content.take(data):
                pass
        gathering.seen(entry.path, content)
    return entry


def _passing(entry: Entry, gathering: Gathering) -> Iterator[tuple[bytes, bytes]]:
    """Yield an entry's content as it is, and gather it."""
    content = gathering.file(entry.path, entry.size, entry.open)
    wanted = content is not None
    for deflated, inflated in entry.deflated.pieces() if entry.deflated else ():
        wanted = wanted and content is not None and content.take(inflated)
        yield deflated, inflated
    if content:
        gathering.seen(entry.path, content)


def read_libraries(blob: BinaryIO, media_type: str, diff_id: Digest, *, limit: int = LIMIT) -> Libraries:
    """Read a layer and check its diff ID; raises IntegrityError for bytes that are damaged or not the diff ID's."""
    gathering = Gathering()
    try:
        with uncompressed(blob, media_type) as stream:
            tar = Tar(stream, limit)
            for member in tar.members():
                _gather(member, tar, gathering)
            found = tar.finish()
    except (OSError, EOFError, cast("type[Exception]", isal_zlib.error)) as error:
        raise IntegrityError(f"the layer's compressed bytes are damaged: {error}", "pull or build it again") from error
    if found != diff_id:
        raise IntegrityError(f"the layer unpacks to {found}, not to its diff ID {diff_id}", "pull or build it again")
    return gathering.libraries()


def _gather(member: Member, tar: Tar, gathering: Gathering) -> None:
    path = plain_path(member.path)
    if member.kind in {SYMLINK, HARD_LINK}:
        link = member.link.decode("utf-8", "backslashreplace")
        gathering.link(path, f"/{plain_path(member.link)}" if member.kind == HARD_LINK else link)
    elif member.kind == FILE and (content := gathering.file(path, member.size)):
        for piece in tar.content():
            if not content.take(piece):
                break
        gathering.seen(path, content)
