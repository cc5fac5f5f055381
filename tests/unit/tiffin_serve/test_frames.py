from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.protocol.call import Call, CallKind, TensorKind
from tiffin_serve.protocol.frames import (
    Failure,
    FrameError,
    FrameReader,
    Hello,
    Result,
    Unknown,
    decode,
    encode,
    encode_batch,
    result_bodies,
)
from tiffin_serve.worker import frames as worker


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@given(st.lists(st.tuples(st.integers(0, 40), st.lists(st.binary(max_size=40), max_size=3)), max_size=4), st.data())
def test_frames_are_found_however_the_stream_is_cut(frames: list[tuple[int, list[bytes]]], data: st.DataObject) -> None:
    stream = b"".join(encode(msgspec.json.encode("x" * size), tensors) for size, tensors in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, found = FrameReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += [(bytes(head), bytes(body)) for head, body in reader.feed(stream[start:end])]
    assert [msgspec.json.decode(head) for head, _ in found] == ["x" * size for size, _ in frames]
    padded = [b"".join(tensor + bytes(-len(tensor) % 8) for tensor in tensors) for _, tensors in frames]
    assert [body for _, body in found] == padded


def test_what_the_worker_writes_the_front_reads() -> None:
    tensors = [
        {"name": "y", "datatype": "INT8", "shape": [3], "size": 3},
        {"name": "z", "datatype": "INT8", "shape": [1], "size": 1},
    ]
    frame = worker.encode({"kind": "result", "id": 7, "outputs": tensors, "seconds": 0.5}, [b"abc", b"d"])
    ((head, body),) = FrameReader().feed(frame)
    result = decode(head)
    assert isinstance(result, Result)
    assert [bytes(data) for data in result_bodies(result, body)] == [b"abc", b"d"]
    ((head, _),) = FrameReader().feed(worker.encode({"kind": "failure", "id": 7, "message": "no", "new": 1}))
    assert decode(head) == Failure(id=7, message="no")
    ((head, _),) = FrameReader().feed(worker.encode({"kind": "hello", "version": 1, "error": {"message": "no"}}))
    assert isinstance(decode(head), Hello)


@given(st.integers(0, 100_000))
def test_what_the_front_writes_the_worker_reads_aligned_and_writable(size: int) -> None:
    kind = CallKind((TensorKind("a", "UINT8", (size,)), TensorKind("b", "UINT8", ())), parameters='{"k": 1}')
    calls = [Call(kind, 1, (b"x" * size, b"1")), Call(kind, 2, (b"y" * 2 * size, b"23"))]
    with pair() as (near, far):
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
        near.sendall(encode_batch(7, calls))
        near.shutdown(socket.SHUT_WR)
        frame = worker.FrameReader(far).read()
    assert frame is not None
    head, body = frame
    assert head["inputs"][0] == {"name": "a", "datatype": "UINT8", "shape": [3, size], "size": 3 * size}
    assert head["parameters"] == {"k": 1}
    assert bytes(body[: 3 * size]) == b"x" * size + b"y" * 2 * size
    assert bytes(body[-8:]) == b"123\0\0\0\0\0"
    body[0] = 0


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"TFN1" + b"\xff" * 12])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        list(FrameReader().feed(data))


@pytest.mark.parametrize("head", [b"{}", b"[", b'{"kind":"result","id":"x","outputs":[]}'])
def test_a_head_that_cannot_be_read_is_refused(head: bytes) -> None:
    with pytest.raises(FrameError):
        decode(memoryview(head))


def test_a_body_that_is_too_short_is_refused() -> None:
    head = b'{"kind":"result","id":1,"outputs":[{"name":"y","datatype":"INT8","shape":[9],"size":9}]}'
    result = decode(memoryview(head))
    assert isinstance(result, Result)
    with pytest.raises(FrameError, match="shorter"):
        result_bodies(result, memoryview(b"12345678"))


def test_a_worker_that_reads_a_cut_stream_sees_its_end() -> None:
    whole = encode(b'{"kind":"welcome"}', [b"12345678"])
    for length in range(len(whole)):
        with pair() as (near, far):
            near.sendall(whole[:length])
            near.shutdown(socket.SHUT_WR)
            assert worker.FrameReader(far).read() is None


def test_a_reader_is_idle_only_while_nothing_has_come() -> None:
    two = b"".join(worker.encode({"id": number}) for number in (1, 2))
    with pair() as (near, far):
        reader = worker.FrameReader(far)
        assert reader.is_idle(0)
        near.sendall(two)
        assert not reader.is_idle(60)
        assert reader.read() is not None
        assert not reader.is_idle(60)
        assert reader.read() is not None
        assert reader.is_idle(0)
        near.close()
        assert not reader.is_idle(60)


def test_a_frame_of_a_kind_that_a_later_version_speaks_is_for_somebody_else() -> None:
    assert decode(memoryview(b'{"kind":"new","more":[1]}')) == Unknown(kind="new")
