"""Lines out of pieces of bytes that are split anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tiffin.errors import UnavailableError

LONGEST = 16 << 20
"""Bytes of a line; the largest object that a cluster keeps is a tenth of that."""


def split_lines(pieces: Iterable[bytes], longest: int = LONGEST) -> Iterator[bytes]:
    """Return each line as soon as it is whole, without its line feed; the last one need not have one.

    Raises UnavailableError where a line does not come to an end.
    """
    begun: list[bytes] = []
    size = 0
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for part in whole:
            yield b"".join((*begun, part))
            begun, size = [], 0
        begun.append(rest)
        size += len(rest)
        if size > longest:
            raise UnavailableError(f"a line of more than {longest} bytes came", "is that a Kubernetes API server?")
    if last := b"".join(begun):
        yield last
