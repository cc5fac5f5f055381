"""Tar headers as a pure function of an entry: ustar, with a pax header only where ustar cannot say it.

POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header". Owner is 0:0 without names, the time is
`MTIME`; there are no access times, devices or sparse files, so equal entries are equal bytes.
"""

from __future__ import annotations

from tiffin.layers.entry import MTIME, Entry, Kind

BLOCK = 512
"""Bytes of a header; content is padded to a multiple of it."""
END = bytes(2 * BLOCK)
"""What ends an archive."""

_LONGEST_NAME = 100
_LONGEST_PREFIX = 155
_LARGEST = 1 << 33
_TYPE = {Kind.FILE: b"0", Kind.SYMLINK: b"2", Kind.DIRECTORY: b"5"}
_ZEROS = bytes(BLOCK)
_OWNER = b"0000000\0" * 2
_TIME = b"%011o\0" % MTIME
_NO_SUM = b" " * 8
_MAGIC = b"ustar\x0000" + bytes(64) + _OWNER
_CONSTANT_SUM = sum(_OWNER + _TIME + _NO_SUM + _MAGIC)


def header(entry: Entry) -> bytes:
    """Write the blocks that come before an entry's content."""
    size = entry.size if entry.kind is Kind.FILE else 0
    path = entry.path + "/" if entry.kind is Kind.DIRECTORY else entry.path
    type_ = _TYPE[entry.kind]
    if size < _LARGEST and path.isascii() and entry.link.isascii() and len(entry.link) <= _LONGEST_NAME:
        name = path.encode()
        if len(name) <= _LONGEST_NAME:
            return _ustar(name, entry.mode, size, type_, entry.link.encode())
        cut = name.rfind(b"/", 0, min(len(name) - 1, _LONGEST_PREFIX + 1))
        if cut > 0 and len(name) - cut - 1 <= _LONGEST_NAME:
            return _ustar(name[cut + 1 :], entry.mode, size, type_, entry.link.encode(), name[:cut])
    return _pax(path, entry, size) + _ustar(
        _approximate(path), entry.mode, size if size < _LARGEST else 0, type_, _approximate(entry.link)
    )


def padding(size: int) -> bytes:
    """Write the zeros that fill content of `size` bytes up to a whole block."""
    return _ZEROS[: -size % BLOCK]


def _ustar(name: bytes, mode: int, size: int, type_: bytes, link: bytes, prefix: bytes = b"") -> bytes:
    numbers = b"%07o\0" % mode, b"%011o\0" % size
    total = _CONSTANT_SUM + sum(name) + sum(numbers[0]) + sum(numbers[1]) + type_[0] + sum(link) + sum(prefix)
    return b"".join(
        (
            name.ljust(100, b"\0"),
            numbers[0],
            _OWNER,
            numbers[1],
            _TIME,
            b"%06o\0 " % total,
            type_,
            link.ljust(100, b"\0"),
            _MAGIC,
            prefix.ljust(167, b"\0"),
        )
    )


def _pax(path: str, entry: Entry, size: int) -> bytes:
    records = b""
    if not path.isascii() or len(path) > _LONGEST_NAME:
        records += _record("path", path)
    if not entry.link.isascii() or len(entry.link) > _LONGEST_NAME:
        records += _record("linkpath", entry.link)
    if size >= _LARGEST:
        records += _record("size", str(size))
    return _ustar(b"PaxHeader", 0o644, len(records), b"x", b"") + records + padding(len(records))


def _record(key: str, value: str) -> bytes:
    """Write `length key=value`, where the length counts its own digits."""
    body = f" {key}={value}\n".encode()
    length = len(body) + len(str(len(body)))
    return str(len(body) + len(str(length))).encode() + body


def _approximate(text: str) -> bytes:
    """Say what fits into an old field, for programs that do not read pax headers."""
    return text.encode("ascii", "replace")[:_LONGEST_NAME]
