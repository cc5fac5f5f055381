"""What is known of HTTP/2 frames that pass in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.front.rpc.relay import CONTINUATION, END_HEADERS, HEADERS, Frames

DATA, SETTINGS = 0, 4


def frame(kind: int, flags: int, length: int) -> bytes:
    return length.to_bytes(3, "big") + bytes([kind, flags, 0, 0, 0, 1]) + bytes(length)


KINDS = st.sampled_from([(DATA, 0), (DATA, 1), (SETTINGS, 0), (HEADERS, END_HEADERS), (HEADERS, 0), (CONTINUATION, 0)])
FRAMES = st.lists(st.tuples(KINDS, st.integers(0, 40)), min_size=1, max_size=8)


@given(FRAMES, st.lists(st.integers(1, 60), min_size=1))
def test_wherever_a_stream_is_cut_the_places_between_frames_are_found(
    described: list[tuple[tuple[int, int], int]], sizes: list[int]
) -> None:
    places, stream, opened = {0: False}, b"", False
    for (kind, flags), length in described:
        stream += frame(kind, flags, length)
        opened = not flags & END_HEADERS if kind in {HEADERS, CONTINUATION} else opened
        places[len(stream)] = not opened
    frames, position, turn = Frames(), 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        frames.feed(stream[position : position + size])
        position, turn = min(position + size, len(stream)), turn + 1
        assert frames.between == places.get(position, False)


def test_nothing_is_put_before_the_first_frame() -> None:
    assert not Frames().between
