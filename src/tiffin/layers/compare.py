"""Where two layers differ: the first member that is not the same, in one pass over each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, cast

import msgspec
from isal import isal_zlib

from tiffin.errors import IntegrityError
from tiffin.layers.members import Member, Tar
from tiffin.layers.unpack import ENTRIES, LIMIT, uncompressed


class LayerBlob(msgspec.Struct, frozen=True):
    """A layer's open blob, and its media type."""

    stream: BinaryIO
    media_type: str


def first_difference(found: LayerBlob, expected: LayerBlob) -> str:
    """Say which member of `found` is the first that `expected` has otherwise or not, and how; "" where none is.

    Raises IntegrityError for a layer that is damaged or hostile.
    """
    wanted = {member.path: (member, digest) for member, digest in _members(expected)}
    for member, digest in _members(found):
        if member.path not in wanted:
            return f"{member.shown}: not expected"
        if how := _difference((member, digest), wanted.pop(member.path)):
            return f"{member.shown}: {how}"
    return next((f"{member.shown}: missing" for member, _ in wanted.values()), "")


def _difference(found: tuple[Member, str], expected: tuple[Member, str]) -> str:
    one, other = found[0], expected[0]
    if one.kind != other.kind:
        return "another kind of path"
    if one.link != other.link:
        return "leads elsewhere"
    if found[1] != expected[1]:
        return f"other content ({one.size} bytes, not {other.size})" if one.size != other.size else "other content"
    return f"mode {one.mode:04o}, not {other.mode:04o}" if one.mode != other.mode else ""


def _members(blob: LayerBlob) -> Iterator[tuple[Member, str]]:
    """Each member of a layer, with the digest of its content."""
    try:
        with uncompressed(blob.stream, blob.media_type) as stream:
            tar = Tar(stream, LIMIT)
            for count, member in enumerate(tar.members()):
                if count == ENTRIES:
                    raise IntegrityError(f"the layer has more than {ENTRIES} paths")
                digest = hashlib.sha256()
                for piece in tar.content():
                    digest.update(piece)
                yield member, digest.hexdigest()
    except (OSError, EOFError, cast("type[Exception]", isal_zlib.error)) as error:
        raise IntegrityError(f"the layer's compressed bytes are damaged: {error}", "pull or build it again") from error
