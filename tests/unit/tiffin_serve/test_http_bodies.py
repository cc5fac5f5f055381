"""Bodies that come compressed."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.front.http.bodies import BodyError, Inflated, TooLargeError, encodings, inflated
from unit.tiffin_serve.fronts import ROWS, Server
from unit.tiffin_serve.test_http import LAST, answers, request

LIMIT = 1_000_000
MAGIC = b"\x28\xb5\x2f\xfd"


def zstd_frame(data: bytes) -> bytes:
    """Write a frame of uncompressed blocks, with the size and without a sum (RFC 8878, section 3.1.1)."""
    blocks = [data[start : start + 100_000] for start in range(0, len(data), 100_000)] or [b""]
    head = MAGIC + b"\xa0" + len(data).to_bytes(4, "little")
    return head + b"".join(
        (len(block) << 3 | (number == len(blocks) - 1)).to_bytes(3, "little") + block
        for number, block in enumerate(blocks)
    )


def zstd_bomb(blocks: int, window: int) -> bytes:
    """Write a frame whose blocks are one byte repeated 131,072 times each; the window is 2 to the 10 + so much."""
    repeated = [(131_072 << 3 | 2 | (number == blocks - 1)).to_bytes(3, "little") + b"x" for number in range(blocks)]
    return MAGIC + b"\x00" + bytes([window << 3]) + b"".join(repeated)


CODERS: dict[bytes, Callable[[bytes], bytes]] = {b"gzip": gzip.compress, b"deflate": zlib.compress}
if b"zstd" in encodings():
    CODERS[b"zstd"] = zstd_frame


def begin(encoding: bytes, limit: int = LIMIT) -> Inflated:
    found = inflated(encoding, limit)
    assert found is not None
    return found


def whole(encoding: bytes, pieces: list[bytes], limit: int = LIMIT) -> bytes:
    body = begin(encoding, limit)
    found = b"".join([body.feed(piece) for piece in pieces])
    body.end()
    return found


@pytest.mark.parametrize("encoding", list(CODERS), ids=bytes.decode)
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_what_was_compressed_comes_back_however_it_is_cut(encoding: bytes, data: bytes, cuts: list[int]) -> None:
    sent = CODERS[encoding](data)
    edges = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    pieces = [sent[start:end] for start, end in pairwise(edges)]
    assert whole(encoding, pieces) == data
    assert whole(encoding, [*pieces, *pieces]) == data * 2


@pytest.mark.parametrize("encoding", list(CODERS), ids=bytes.decode)
def test_the_limit_is_one_of_what_comes_out(encoding: bytes) -> None:
    sent = CODERS[encoding](bytes(LIMIT))
    assert whole(encoding, [sent]) == bytes(LIMIT)
    for pieces in ([CODERS[encoding](bytes(LIMIT + 1))], [sent, CODERS[encoding](b"x")]):
        with pytest.raises(TooLargeError):
            whole(encoding, pieces)


@pytest.mark.parametrize("encoding", list(CODERS), ids=bytes.decode)
def test_what_ends_too_early_is_refused_at_every_byte(encoding: bytes) -> None:
    sent = CODERS[encoding](b"some of it")
    for end in range(1, len(sent)):
        with pytest.raises(BodyError, match="it ends too early"):
            whole(encoding, [sent[:end]])


@pytest.mark.parametrize("encoding", list(CODERS), ids=bytes.decode)
def test_garbage_is_refused(encoding: bytes) -> None:
    for sent in (b"garbage that is long enough", CODERS[encoding](b"x") + b"garbage after it"):
        with pytest.raises(BodyError):
            whole(encoding, [sent])


def test_a_bomb_of_zstd_is_stopped_and_so_is_a_window_that_is_larger_than_any_needs() -> None:
    if b"zstd" not in CODERS:
        assert inflated(b"zstd", LIMIT) is None
        return
    assert whole(b"zstd", [zstd_bomb(7, 13)]) == b"x" * 131_072 * 7
    with pytest.raises(TooLargeError):
        whole(b"zstd", [zstd_bomb(5_000, 13)])
    with pytest.raises(BodyError):
        whole(b"zstd", [zstd_bomb(7, 14)])


def test_what_is_not_known_is_none() -> None:
    assert inflated(b"br", LIMIT) is None
    assert inflated(b"gzip, gzip", LIMIT) is None


@pytest.mark.parametrize("encoding", list(CODERS), ids=bytes.decode)
def test_a_compressed_request_is_answered(iris: Server, encoding: bytes) -> None:
    sent = CODERS[encoding](json.dumps(ROWS).encode())
    for name in (encoding, encoding.upper()):
        found = answers(iris.raw(request(b"/predict", sent, b"Content-Encoding: %b\r\n" % name) + LAST))
        assert [status for status, _ in found] == [200, 200]
    chunks = b"".join(b"1\r\n%c\r\n" % letter for letter in sent) + b"0\r\n\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Encoding: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % encoding
    assert [status for status, _ in answers(iris.raw(head + chunks + LAST))] == [200, 200]


def test_an_empty_compressed_body_leaves_nothing_for_the_next_request(iris: Server) -> None:
    empty = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"
    found = answers(iris.raw(empty + request(b"/predict", json.dumps(ROWS).encode()) + LAST))
    assert [status for status, _ in found] == [400, 200, 200]


def test_a_body_of_many_pieces_is_whole(iris: Server) -> None:
    rows = json.dumps(ROWS * 500).encode()
    found = answers(iris.raw(request(b"/predict", rows) * 6 + LAST))
    assert [status for status, _ in found] == [200] * 7
    assert all(len(answer["predictions"]) == len(ROWS) * 500 for _, answer in found[:-1])


def test_an_encoding_that_is_not_known_is_answered_with_those_that_are(iris: Server) -> None:
    status, headers, answer = iris.ask_whole("POST", "/predict", b"x", {"Content-Encoding": "br"})
    assert (status, headers["accept-encoding"]) == (415, encodings().decode())
    assert answer == {"error": f"the header `Content-Encoding` may be one of identity, {encodings().decode()}"}


def test_zstd_is_known_where_the_interpreter_has_it() -> None:
    has = any(_found(name) for name in ("compression.zstd", "backports.zstd"))
    assert (b"zstd" in encodings()) is has


def _found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
