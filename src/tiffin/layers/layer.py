"""A finished layer: where its blob is and what it unpacks to."""

from __future__ import annotations

import msgspec

from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A blob in a store, with the digest and the size in bytes of its uncompressed tar."""

    descriptor: Descriptor
    diff_id: Digest
    unpacked_size: int
