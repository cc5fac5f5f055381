from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.deploy.kubernetes.client.lines import split_lines
from tiffin.errors import UnavailableError


@given(st.binary(), st.lists(st.integers(0, 9), max_size=30))
def test_pieces_may_begin_and_end_anywhere(data: bytes, sizes: list[int]) -> None:
    pieces = []
    rest = data
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    whole = data.split(b"\n")
    assert list(split_lines([*pieces, rest])) == (whole if whole[-1] else whole[:-1])


def test_a_line_is_told_before_the_next_piece_is_asked_for() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one\ntw"
        raise AssertionError

    assert next(split_lines(pieces())) == b"one"


def test_a_line_that_does_not_end_is_refused() -> None:
    with pytest.raises(UnavailableError, match="more than 10 bytes"):
        list(split_lines([b"12345"] * 3, longest=10))


def test_many_short_lines_in_one_piece_are_no_long_line() -> None:
    assert list(split_lines([b"1234\n" * 5], longest=10)) == [b"1234"] * 5
