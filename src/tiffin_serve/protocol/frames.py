"""Frames between front and worker, as the front sees them; `spec/frames.md` is the promise."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tiffin_serve.protocol.call import Buffer, Call, CallKind, TensorKind
from tiffin_serve.protocol.signature import Signature, TensorSpec

MAGIC = b"TFN1"
VERSION = 1
MAX_HEAD = 16 * 2**20
MAX_BODY = 2**32
ALIGNMENT = 8
_PREFIX = struct.Struct("<4sIQ")


class LoadError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a model could not be loaded: the last line of the traceback, and all of it."""

    message: str
    traceback: str = ""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="hello"):
    """A worker presents itself: with its model's signature, or with the reason why there is none.

    One that can fork names its nest in `forks`, and its children say in `nest` where they come from. `instance` is what
    its starter calls it, where that is not the front.
    """

    version: int
    token: str = ""
    image: str = ""
    pid: int = 0
    signature: Signature | None = None
    error: LoadError | None = None
    forks: str = ""
    nest: str = ""
    instance: str = ""


class ResultTensor(TensorSpec, frozen=True):
    """A tensor in a result's body; `size` is its bytes without padding."""

    size: int = 0


class Result(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="result"):
    """What the model made of a batch; its tensors follow in the body."""

    id: int
    outputs: tuple[ResultTensor, ...]
    seconds: float = 0.0


class Part(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="part"):
    """A piece of a streamed answer; its tensors follow in the body, and a `result` ends the answer."""

    id: int
    outputs: tuple[ResultTensor, ...]


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="failure"):
    """The model raised an error; `refused` says that the input is to blame (a ValueError)."""

    id: int
    message: str
    traceback: str = ""
    refused: bool = False


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="ended"):
    """A worker that was forked has ended, with this status (negative: a signal), or could not be forked."""

    pid: int = 0
    status: int = 0
    message: str = ""


class Unknown(msgspec.Struct, frozen=True):
    """A frame of a kind that a later version speaks: it is for somebody else."""

    kind: str


FromWorker = Hello | Result | Part | Failure | Ended
_KINDS = {"hello", "result", "part", "failure", "ended"}
_any_kind: msgspec.json.Decoder[Unknown] = msgspec.json.Decoder(Unknown)
_from_worker: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)


class FrameError(Exception):
    """The other side does not speak this protocol."""


def encode(head: bytes, tensors: Sequence[Buffer] = ()) -> bytes:
    """Write one frame: prefix, head padded with spaces, tensors padded with zeros."""
    head += b" " * (-len(head) % ALIGNMENT)
    parts: list[Buffer] = [b"", head]
    for tensor in tensors:
        parts += (tensor, bytes(-len(tensor) % ALIGNMENT))
    parts[0] = _PREFIX.pack(MAGIC, len(head), sum(map(len, parts)) - len(head))
    return b"".join(parts)


def encode_fork(count: int) -> bytes:
    """Write the wish for so many workers more, for one that can fork."""
    return encode(msgspec.json.encode({"kind": "fork", "count": count}))


def encode_welcome() -> bytes:
    """Write the answer to a hello that was accepted."""
    return encode(msgspec.json.encode({"kind": "welcome", "version": VERSION}))


def encode_refusal(reason: str) -> bytes:
    """Write the answer to a hello that was not."""
    return encode(msgspec.json.encode({"kind": "refused", "message": reason}))


class BatchHead:
    """The head of every batch of one kind: all but its number, rows, sizes and seconds is written once."""

    __slots__ = ("_begin", "_rows")

    def __init__(self, kind: CallKind) -> None:
        self._rows = not kind.alone
        more: dict[str, Any] = {"outputs": kind.outputs} if kind.outputs else {}
        if kind.stream:
            more["stream"] = True
        if kind.parameters:
            more["parameters"] = msgspec.Raw(kind.parameters.encode())
        inputs = b",".join([_described(tensor, rows=self._rows) for tensor in kind.tensors])
        rest = b"," + _literal(more)[1:-1] if more else b""
        self._begin = b'{"kind":"batch","id":%%d,"inputs":[%b]%b' % (inputs, rest)

    def frame(self, id_: int, calls: Sequence[Call], rows: int, seconds: float | None = None) -> bytes:
        """Write calls as one batch of so many rows, one after the other; `seconds` is how long it may take."""
        data: Sequence[Buffer]
        if len(calls) == 1:
            data = calls[0].data
        elif len(calls[0].data) == 1:
            data = (b"".join([call.data[0] for call in calls]),)
        else:
            data = [b"".join(parts) for parts in zip(*[call.data for call in calls], strict=True)]
        numbers = [id_]
        if self._rows:
            for tensor in data:
                numbers += (rows, len(tensor))
        else:
            numbers += map(len, data)
        end = b"}" if seconds is None else b',"seconds":%.3f}' % seconds
        return encode(self._begin % tuple(numbers) + end, data)


def _described(tensor: TensorKind, *, rows: bool) -> bytes:
    shape = ([b"%d"] if rows else []) + [b"%d" % length for length in tensor.tail]
    names = (_literal(tensor.name), _literal(tensor.datatype), b",".join(shape))
    return b'{"name":%b,"datatype":%b,"shape":[%b],"size":%%d}' % names


def _literal(value: object) -> bytes:
    """Write JSON into a form whose percent signs stand for numbers."""
    return msgspec.json.encode(value).replace(b"%", b"%%")


def encode_batch(id_: int, calls: Sequence[Call], seconds: float | None = None) -> bytes:
    """Write calls of one kind as one batch; whoever writes many of a kind keeps its `BatchHead`."""
    return BatchHead(calls[0].kind).frame(id_, calls, sum([call.rows for call in calls]), seconds)


def encode_cancel(id_: int) -> bytes:
    """Write that nobody waits for the rest of a streamed answer."""
    return encode(msgspec.json.encode({"kind": "cancel", "id": id_}))


def decode(head: memoryview) -> FromWorker | Unknown:
    """Read a frame's head; raises FrameError."""
    try:
        return _from_worker.decode(head)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        with contextlib.suppress(msgspec.MsgspecError, RecursionError, UnicodeError):
            frame = _any_kind.decode(head)
            if frame.kind not in _KINDS:
                return frame
        raise FrameError(f"a frame's head cannot be read: {error}") from error


def result_bodies(result: Result | Part, body: memoryview) -> list[memoryview]:
    """Cut a result's body into its tensors; raises FrameError where it is too short."""
    bodies, position = [], 0
    for tensor in result.outputs:
        end = position + tensor.size
        if tensor.size < 0 or end > len(body):
            raise FrameError("a result's body is shorter than its tensors")
        bodies.append(body[position:end])
        position = end + -end % ALIGNMENT
    return bodies


class FrameReader:
    """Cuts what arrives on a stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> Iterator[tuple[memoryview, memoryview]]:
        """Give the head and the body of every frame that is now whole; raises FrameError."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        view, size, position = memoryview(data), len(data), 0
        self._needed = 0
        while size - position >= _PREFIX.size:
            magic, head, body = _PREFIX.unpack_from(data, position)
            if magic != MAGIC or head > MAX_HEAD or body > MAX_BODY:
                raise FrameError("what arrived is not a frame")
            start = position + _PREFIX.size
            middle = start + head
            end = middle + body
            if end > size:
                self._needed = end - position
                break
            yield view[start:middle], view[middle:end]
            position = end
        if position < size:
            self._buffer += view[position:]
