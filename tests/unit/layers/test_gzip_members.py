from __future__ import annotations

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from tiffin.layers.gzip_members import HEADER, compressed, trailer
from unit.layers.zips import deflate


def test_a_compressed_member_begins_with_the_pinned_header() -> None:
    assert compressed(b"tiffin" * 100)[:10] == HEADER


def test_compressed_bytes_are_the_same_on_every_machine() -> None:
    text = b"".join(b"%d bottles of beer on the wall\n" % n for n in range(2000))
    assert f"{zlib.crc32(compressed(text)):08x}" == "c960960c"


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=2000)), min_size=1))
def test_members_of_both_kinds_unpack_to_their_contents_joined(pieces: list[tuple[bool, bytes]]) -> None:
    members = (
        HEADER + deflate(data) + trailer(zlib.crc32(data), len(data)) if spliced else compressed(data)
        for spliced, data in pieces
    )
    assert gzip.decompress(b"".join(members)) == b"".join(data for _, data in pieces)


def test_a_size_beyond_four_gib_is_told_modulo_two_to_the_32() -> None:
    assert trailer(1, (1 << 32) + 5) == trailer(1, 5)
