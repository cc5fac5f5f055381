"""The members of a tar, read in one pass and strictly: what two readers could understand differently is refused.

Formats: POSIX ustar and pax (POSIX.1-2017, pax, "ustar Interchange Format"), and GNU's long names. A lean reader of our
own, since a layer has thousands of small files and `tarfile` spends more on each header than the kernel on the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

import msgspec

from tiffin.errors import IntegrityError, UnsupportedError
from tiffin.oci.digest import CHUNK, Digest

BLOCK: Final = 512
FILE: Final = b"0"
HARD_LINK: Final = b"1"
SYMLINK: Final = b"2"
DIRECTORY: Final = b"5"

_OLD_FILES = {b"\0", b"7"}
"""Type flags that mean a regular file too: that of seventh-edition Unix, and "contiguous"."""
_EXTENSIONS = {b"x": "pax", b"g": "global pax", b"L": "GNU long name", b"K": "GNU long link"}
_UNSUPPORTED = {b"3": "a character device", b"4": "a block device", b"6": "a fifo", b"S": "a sparse file"}
_EXTENSION_LIMIT = 1 << 20
"""Bytes of the longest extended header; a path is at most 4,096."""
_USED = frozenset({b"path", b"linkpath", b"size"})
"""What is read of an extended header."""
BOMB_SIZE, BOMB_RATIO = 8 << 30, 100
"""A layer that unpacks to more than so many bytes and to more than so many times its blob is refused."""
_BOMB = "raise the limit only if you trust its maker"
_CHECKSUM = slice(148, 156)
_IDS = slice(108, 124)
_ROOTS = b"0000000\0" * 2
_ZEROS = bytes(BLOCK)


class Member(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One path of a tar as its header says it: names are bytes, exactly as written."""

    path: bytes
    kind: bytes
    mode: int
    size: int = 0
    link: bytes = b""
    uid: int = 0
    gid: int = 0

    @property
    def shown(self) -> str:
        """The path for people: control characters and wrong UTF-8 are escaped."""
        return shown(self.path)


def shown(path: bytes) -> str:
    """Return a path for people: control characters and wrong UTF-8 are escaped."""
    return path[:200].decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii")


class Tar:
    """An uncompressed tar being read once, from front to back; everything read is counted and hashed."""

    def __init__(self, stream: BinaryIO, limit: int, packed: Callable[[], int] | None = None) -> None:
        """Read from `stream`, at most `limit` bytes; `packed` says how many compressed ones they were so far."""
        self._stream = stream
        self._packed = packed
        self._member = ""
        self._limit = limit
        self._hashed = hashlib.sha256()
        self._data = b""
        self._at = 0
        self._count = 0
        self._left = 0
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """Each member in order; its content is `content()` until the next is asked for."""
        extended: dict[bytes, bytes] = {}
        while (block := self._header()) is not None:
            kind = block[156:157]
            if kind in _EXTENSIONS:
                _extend(extended, kind, self._payload(_number(block[124:136], "size")))
                continue
            member = _member(block, extended)
            extended, self._member = {}, member.shown
            self._left, self._padding = member.size, -member.size % BLOCK
            yield member
            for _ in self.content():
                pass
            self._skip(self._padding)
        if extended:
            raise IntegrityError("the tar ends after an extended header, before the member it speaks of")

    def content(self) -> Iterator[memoryview]:
        """The rest of the member's content, in pieces that are valid until the next one is asked for."""
        while self._left:
            piece = self._piece(self._left)
            self._left -= len(piece)
            yield piece

    def finish(self) -> Digest:
        """Read what follows the end of the archive and return the digest of the whole stream: the diff ID."""
        while self._refill():
            pass
        return Digest("sha256", self._hashed.hexdigest())

    @property
    def count(self) -> int:
        """How many bytes were read so far."""
        return self._count

    @property
    def position(self) -> int:
        """Where in the stream the next byte is: the content's first, when a member was just given."""
        return self._count - len(self._data) + self._at

    def _refill(self) -> bool:
        self._data = self._stream.read(CHUNK)
        self._at = 0
        self._count += len(self._data)
        if self._count > self._limit:
            raise IntegrityError(f"{self._member}: the layer unpacks to more than {self._limit} bytes", _BOMB)
        if self._count > BOMB_SIZE and self._packed and self._count > BOMB_RATIO * self._packed():
            raise IntegrityError(f"{self._member}: the layer unpacks to more than {BOMB_RATIO} times what it is", _BOMB)
        self._hashed.update(self._data)
        return bool(self._data)

    def _piece(self, most: int) -> memoryview:
        if self._at == len(self._data) and not self._refill():
            raise IntegrityError(f"the tar is truncated: it ends inside or behind {self._member or 'a header'}")
        end = min(self._at + most, len(self._data))
        piece = memoryview(self._data)[self._at : end]
        self._at = end
        return piece

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._piece(size))

    def _exactly(self, size: int) -> bytes:
        end = self._at + size
        if end <= len(self._data):
            data, self._at = self._data[self._at : end], end
            return data
        parts = []
        while size:
            part = bytes(self._piece(size))
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _header(self) -> bytes | None:
        """Return the next header; None at the end, which is a block of zeros or the stream's own."""
        if self._at == len(self._data) and not self._refill():
            return None
        block = self._exactly(BLOCK)
        if block == _ZEROS:
            return None
        if sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ") != _number(block[_CHECKSUM], "checksum"):
            raise IntegrityError(f"what follows {self._member or 'the begin'} is no tar header: its checksum is wrong")
        return block

    def _payload(self, size: int) -> bytes:
        if size > _EXTENSION_LIMIT:
            raise IntegrityError(f"an extended header of {size} bytes; at most {_EXTENSION_LIMIT} are read")
        data = self._exactly(size)
        self._skip(-size % BLOCK)
        return data


def _number(field: bytes, what: str) -> int:
    """Read a number of a header: octal digits, or GNU's base 256 where the first bit is set."""
    if field[0] == 0x80:  # noqa: PLR2004 - the marker of a positive base-256 number
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits and not digits.isdigit():
        raise IntegrityError(f"not a number in a tar header's {what}: {field!r}")
    try:
        return int(digits or b"0", 8)
    except ValueError as error:
        raise IntegrityError(f"not an octal number in a tar header's {what}: {field!r}") from error


def _text(field: bytes) -> bytes:
    return field[:end] if (end := field.find(0)) >= 0 else field


def _extend(extended: dict[bytes, bytes], kind: bytes, payload: bytes) -> None:
    """Add what an extended header says of the member that follows it, as far as it is of any use.

    The rest is dropped: a chain of headers full of attributes that nobody asked for would fill the memory.
    """
    gnu = {b"L": b"path", b"K": b"linkpath"}.get(kind)
    said = {gnu: payload.removesuffix(b"\0")} if gnu else _pax(payload)
    said = {key: value for key, value in said.items() if key in _USED}
    if kind == b"g":
        _check_global(said)
        return
    if twice := extended.keys() & said.keys():
        raise IntegrityError(
            f"two extended headers give a member's {shown(min(twice))}; which one counts is not defined"
        )
    extended.update(said)


def _pax(payload: bytes) -> dict[bytes, bytes]:
    """Read pax records, each `length key=value` and an end of line, that must fill the payload exactly."""
    records, at = {}, 0
    while at < len(payload):
        space = payload.find(b" ", at, at + 8)
        digits = payload[at:space] if space > 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        key, equals, value = payload[space + 1 : end].partition(b"=")
        if not at < end <= len(payload) or not equals or value[-1:] != b"\n":
            raise IntegrityError("a pax header that is not a list of records")
        records[key] = value[:-1]
        at = end
    if any(key.startswith(b"GNU.sparse.") for key in records):
        raise UnsupportedError(
            "a sparse file in a layer", "make the layer without sparse files (`tar` without `--sparse`)"
        )
    return records


def _check_global(said: dict[bytes, bytes]) -> None:
    if said:
        raise IntegrityError(f"a global pax header gives every member the same {shown(min(said))}")


def _member(block: bytes, extended: dict[bytes, bytes]) -> Member:
    """Make a member of its header and what extended headers said before it."""
    path, link, size = _text(block[:100]), _text(block[157:257]), _number(block[124:136], "size")
    if block[257:263] == b"ustar\0" and block[345]:
        path = _text(block[345:500]) + b"/" + path
    if extended:
        path, link = extended.get(b"path", path), extended.get(b"linkpath", link)
        size = _extended_size(extended, size, path)
    kind = _kind(block[156:157], path, size)
    if 0 in path or 0 in link or not path:
        raise IntegrityError(f"a member's name is empty or has a NUL: {shown(path)!r}")
    if size and kind != FILE:
        raise IntegrityError(f"{shown(path)}: a link or directory with {size} bytes of content")
    mode = _number(block[100:108], "mode")
    uid, gid = (0, 0) if block[_IDS] == _ROOTS else (_identity(block[108:116]), _identity(block[116:124]))
    return Member(path=path, kind=kind, mode=mode, size=size, link=link, uid=uid, gid=gid)


def _identity(field: bytes) -> int:
    """Read an owner's number; one that cannot be read is root's, as nobody can have meant it."""
    try:
        return _number(field, "owner")
    except IntegrityError:
        return 0


def _extended_size(extended: dict[bytes, bytes], size: int, path: bytes) -> int:
    """Choose the size of a pax header, as the standard has it; some readers take the other one (CVE-2025-62518)."""
    said = _decimal(extended[b"size"]) if b"size" in extended else size
    if size not in (0, said):
        raise IntegrityError(f"{shown(path)} has {size} bytes by its header and {said} by its extended header")
    return said


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > len(str(1 << 63)):
        raise IntegrityError(f"not a size in a pax header: {shown(value)!r}")
    return int(value)


def _kind(flag: bytes, path: bytes, size: int) -> bytes:
    kind = FILE if flag in _OLD_FILES else flag
    if kind == FILE and path.endswith(b"/") and not size:
        return DIRECTORY  # as seventh-edition tar wrote it
    if kind in {FILE, HARD_LINK, SYMLINK, DIRECTORY}:
        return kind
    what = _UNSUPPORTED.get(kind, f"a member of type {kind!r}")
    raise UnsupportedError(f"{shown(path)} is {what}", "a layer may hold files, directories and links")
