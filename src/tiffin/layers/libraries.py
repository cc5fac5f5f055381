"""The dynamic linker's view of a layer: ELF files, links and folders of libraries, read in one pass over the blob."""

from __future__ import annotations

import re
import tempfile
from typing import BinaryIO, cast

import msgspec
from isal import isal_zlib

from tiffin.errors import IntegrityError
from tiffin.layers.elf import MAGIC, Elf, read_elf
from tiffin.layers.listing import WHEEL, owned, plain_path
from tiffin.layers.members import DIRECTORY, FILE, HARD_LINK, Member, Tar
from tiffin.layers.unpack import LIMIT, uncompressed
from tiffin.oci.digest import Digest

_IN_MEMORY = 32 << 20
"""Bytes of an ELF file that is read in memory; a bigger one goes through a file."""
_TEXT_LIMIT = 8 << 20
"""Bytes of the largest RECORD or ld.so.conf that is read."""
_MOST = 200_000
"""ELF files, or links, of a layer: more belong to no image."""
_RECORD = re.compile(r".*\.dist-info/RECORD")
_LINKER = re.compile(r"etc/ld\.so\.conf(?:\.d/[^/]+\.conf)?")
_WHITEOUT = ".wh."


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


def read_libraries(blob: BinaryIO, media_type: str, diff_id: Digest, *, limit: int = LIMIT) -> Libraries:
    """Read a layer and check its diff ID; raises IntegrityError for bytes that are damaged or not the diff ID's."""
    reading = _Reading()
    try:
        with uncompressed(blob, media_type) as stream:
            tar = Tar(stream, limit)
            for member in tar.members():
                if member.kind != DIRECTORY:
                    reading.take(plain_path(member.path), member, tar)
            found = tar.finish()
    except (OSError, EOFError, cast("type[Exception]", isal_zlib.error)) as error:
        raise IntegrityError(f"the layer's compressed bytes are damaged: {error}", "pull or build it again") from error
    if found != diff_id:
        raise IntegrityError(f"the layer unpacks to {found}, not to its diff ID {diff_id}", "pull or build it again")
    return reading.libraries()


class _Reading:
    """A layer half read."""

    def __init__(self) -> None:
        self._files: dict[str, ElfFile] = {}
        self._links: dict[str, str] = {}
        self._gone: list[str] = []
        self._records: dict[str, str] = {}
        self._folders: list[str] = []

    def take(self, path: str, member: Member, tar: Tar) -> None:
        if len(self._files) + len(self._links) + len(self._gone) > _MOST:
            raise IntegrityError(f"the layer has more than {_MOST} ELF files and links")
        folder, _, name = path.rpartition("/")
        if name.startswith(_WHITEOUT):
            self._gone.append(f"{folder}/" if name == ".wh..wh..opq" else f"{folder}/{name[4:]}".lstrip("/"))
        elif member.kind != FILE:
            link = member.link.decode("utf-8", "backslashreplace")
            self._links[path] = f"/{plain_path(member.link)}" if member.kind == HARD_LINK else link
        elif member.size <= _TEXT_LIMIT and _RECORD.fullmatch(path):
            self._records[path] = _text(tar)
        elif member.size <= _TEXT_LIMIT and _LINKER.fullmatch(path):
            self._folders += [line for line in _text(tar).split() if line.startswith("/")]
        elif found := _elf_file(path, tar):
            self._files[path] = found

    def libraries(self) -> Libraries:
        owners = {
            path: package.name
            for package, paths in owned(self._records).items()
            if package.kind == WHEEL
            for path in paths
        }
        files = (
            msgspec.structs.replace(file, owner=owners.get(path, "")) for path, file in sorted(self._files.items())
        )
        return Libraries(
            files=tuple(files),
            links=dict(sorted(self._links.items())),
            gone=tuple(sorted(self._gone)),
            folders=tuple(self._folders),
        )


def _text(tar: Tar) -> str:
    return b"".join(map(bytes, tar.content())).decode("utf-8", "replace")


def _elf_file(path: str, tar: Tar) -> ElfFile | None:
    """Read the member's content where it is ELF; what it is not given, the tar skips."""
    head = b""
    for piece in tar.content():
        head += piece
        if len(head) >= len(MAGIC):
            break
    if not head.startswith(MAGIC):
        return None
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        spool.write(head)
        for piece in tar.content():
            spool.write(piece)
        try:
            elf = read_elf(cast("BinaryIO", spool), path.rpartition("/")[2].partition(".")[0])
        except IntegrityError as error:
            return ElfFile(path=path, damaged=error.message)
    return ElfFile(path=path, elf=elf) if elf else None
