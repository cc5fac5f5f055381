"""Take one small file out of a layer, without unpacking it."""

from __future__ import annotations

import gzip
import zlib
from typing import BinaryIO, cast

from tiffin.errors import IntegrityError
from tiffin.layers.members import FILE, Tar
from tiffin.oci.digest import Digest

LIMIT = 64 << 20
"""Bytes a layer may unpack to: one that is read for a document holds little else."""


def pick(blob: BinaryIO, diff_id: Digest, path: str) -> bytes | None:
    """Return a file of a gzip layer, or None where it has none; the whole layer is checked against its diff ID.

    The file is known by its folder and name: above a base whose folders are links, what is above those is another.
    Raises IntegrityError for bytes that are damaged, hostile, too many, or not the diff ID's.
    """
    found, wanted = None, path.encode().split(b"/")[-2:]
    try:
        with gzip.GzipFile(fileobj=blob) as stream:
            tar = Tar(cast("BinaryIO", stream), LIMIT)
            for member in tar.members():
                if member.kind == FILE and member.path.split(b"/")[-2:] == wanted:
                    found = b"".join(map(bytes, tar.content()))
            digest = tar.finish()
    except (OSError, EOFError, zlib.error) as error:
        raise IntegrityError(f"the layer's compressed bytes are damaged: {error}", "pull or build it again") from error
    if digest != diff_id:
        raise IntegrityError(f"the layer unpacks to {digest}, not to its diff ID {diff_id}", "pull or build it again")
    return found
