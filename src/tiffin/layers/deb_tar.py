"""A careful reader of the tars in Debian packages: what dpkg reads, and nothing that would leave the folder.

Old tar, ustar and GNU's long names, as dpkg-deb writes them and dpkg reads them (dpkg, lib/dpkg/tarfn.c); like dpkg it
knows no pax headers. A damaged header is an error wherever it is, and a tar without its end is a truncated one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from tiffin.errors import IntegrityError, UnsupportedError

BLOCK = 512
"""Bytes of a header; content is padded to a multiple of it."""

_LONG_NAME, _LONG_LINK = "L", "K"
_LONGEST = 4096
"""Bytes of the longest path (PATH_MAX on Linux)."""
_LONGEST_PART = 255
_MOST_MEMBERS = 200_000
"""Debian's largest packages have 100,000 files."""
_REFUSED = {"3": "a character device", "4": "a block device", "6": "a named pipe"}
_USTAR = b"ustar\x00"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One path of a tar; `type` is ustar's flag: `0` a file, `1` a hard link, `2` a symbolic link, `5` a directory."""

    path: str
    type: str
    executable: bool
    offset: int
    size: int
    link: str


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """A header as it stands, before names are judged."""

    name: bytes
    type: str
    mode: int
    size: int
    link: bytes


def read_members(file: BinaryIO, end: int, where: str) -> Iterator[Member]:
    """Read the members of a tar of `end` bytes; the root itself is left out.

    Raises IntegrityError for what is damaged, truncated or would lie outside, and UnsupportedError for devices, pipes
    and tar's rarer types; each names `where` and the member.
    """
    offset, count, long = 0, 0, dict[str, bytes]()
    while header := _header(file, offset, where):
        count += 1
        if count > _MOST_MEMBERS:
            raise IntegrityError(f"{where} has more than {_MOST_MEMBERS} members")
        content = offset + BLOCK
        offset = content + -(-header.size // BLOCK) * BLOCK
        if offset > end:
            raise IntegrityError(f"{where} is truncated in {_show(header.name)}")
        if header.type in (_LONG_NAME, _LONG_LINK):
            long[header.type] = _long(file, content, header, where)
            continue
        name, link = long.pop(_LONG_NAME, header.name), long.pop(_LONG_LINK, header.link)
        if member := _member(header, name, link, content, where):
            yield member


def _header(file: BinaryIO, offset: int, where: str) -> _Header | None:
    """Read the header at `offset`, or nothing where the tar ends with a block of zeros."""
    file.seek(offset)
    block = file.read(BLOCK)
    if len(block) < BLOCK:
        raise IntegrityError(f"{where} is truncated at byte {offset}")
    if not any(block):
        return None
    told, counted = _number(block[148:156]), sum(block) - sum(block[148:156]) + 8 * 32
    mode, size = _number(block[100:108]), _number(block[124:136])
    if told != counted or mode is None or size is None:
        raise IntegrityError(f"{where} is damaged: no tar header at byte {offset}")
    prefix = _text(block[345:500]) if block[257:263] == _USTAR else b""
    name = _text(block[:100])
    type_ = chr(block[156] or 48)
    return _Header(
        name=prefix + b"/" + name if prefix else name,
        type="0" if type_ == "7" else type_,
        mode=mode,
        size=0 if type_ in "123456" else size,
        link=_text(block[157:257]),
    )


def _number(field: bytes) -> int | None:
    """Read octal digits, or GNU's base 256 for what they cannot hold."""
    if field[0] == 0x80:  # noqa: PLR2004 - GNU's mark of a number in base 256
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    return int(digits, 8) if all(48 <= digit < 56 for digit in digits) else None  # noqa: PLR2004 - `0` to `7`


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _long(file: BinaryIO, offset: int, header: _Header, where: str) -> bytes:
    if header.size > _LONGEST:
        raise IntegrityError(f"{where} has a name of {header.size} bytes; the longest path has {_LONGEST}")
    file.seek(offset)
    return _text(file.read(header.size))


def _member(header: _Header, name: bytes, link: bytes, offset: int, where: str) -> Member | None:
    path = clean(name, where)
    if header.type in _REFUSED:
        raise UnsupportedError(
            f"{where} would make {path!r}, which is {_REFUSED[header.type]}",
            "leave the package out: an image of tiffin has files, directories and symbolic links only",
        )
    if header.type not in "0125":
        raise UnsupportedError(f"{where}: {path!r} has tar's type {header.type!r}, which dpkg does not read either")
    if not path:
        return None
    target = ""
    if header.type == "1":
        target = clean(link, where)
    elif header.type == "2":
        target = _target(path, link, where)
    return Member(
        path=path,
        type=header.type,
        executable=bool(header.mode & 0o111),
        offset=offset,
        size=header.size if header.type == "0" else 0,
        link=target,
    )


def clean(name: bytes, where: str) -> str:
    """Return a name as a relative path without `.`, empty for the root; raises IntegrityError when it is none."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise IntegrityError(f"{where} has the name {_show(name)}, which is not UTF-8") from None
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not text or text.startswith("/") or ".." in parts:
        raise IntegrityError(f"{where} has the name {text!r}, which would lie outside of the image")
    if len(name) > _LONGEST or any(len(part.encode()) > _LONGEST_PART for part in parts):
        raise IntegrityError(f"{where} has a name that no file system takes: {text[:100]!r}…")
    if any(part.startswith(".wh.") for part in parts):
        raise IntegrityError(f"{where} has the name {text!r}, which means a deletion in an image layer")
    return "/".join(parts)


def _target(path: str, link: bytes, where: str) -> str:
    """Judge where a symbolic link leads: inside the image, counted from its root."""
    try:
        target = link.decode()
    except UnicodeDecodeError:
        raise IntegrityError(f"{where}: {path!r} leads to {_show(link)}, which is not UTF-8") from None
    if not target:
        raise IntegrityError(f"{where}: {path!r} leads nowhere")
    depth = 0 if target.startswith("/") else path.count("/")
    for part in target.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            raise IntegrityError(f"{where}: {path!r} leads to {target!r}, which is outside of the image")
    return target


def _show(name: bytes) -> str:
    return repr(name[:100].decode("utf-8", "backslashreplace"))
