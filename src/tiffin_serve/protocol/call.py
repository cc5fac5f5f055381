"""What the worker is asked: the tensors of one request, and the kind of call they may share with others."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

Buffer = bytes | memoryview
"""Elements of a tensor; a memoryview is a piece of the request's body, which is not copied until it is sent."""


class TensorKind(NamedTuple):
    """A tensor without its rows: `tail` is its shape after the first dimension, or all of it in a call made alone."""

    name: str
    datatype: str
    tail: tuple[int, ...]


class CallKind(NamedTuple):
    """What calls must have in common to be made together; one whose answer is streamed is always made alone."""

    tensors: tuple[TensorKind, ...]
    outputs: tuple[str, ...] = ()
    parameters: str = ""
    alone: bool = False
    stream: bool = False


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request's tensors, as raw bytes in the order of `kind.tensors`, and its number of rows."""

    kind: CallKind
    rows: int
    data: tuple[Buffer, ...]


class Tensor(NamedTuple):
    """A whole tensor on its way into a call."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Buffer


def make_call(
    tensors: tuple[Tensor, ...],
    *,
    batches: bool,
    outputs: tuple[str, ...] = (),
    parameters: dict[str, Any] | None = None,
    stream: bool = False,
) -> Call:
    """Put a request's tensors together; those that agree on their first dimension may share a call with others."""
    first = tensors[0].shape[:1]
    together = batches and not stream and bool(first) and all(tensor.shape[:1] == first for tensor in tensors)
    skip = 1 if together else 0
    kind = CallKind(
        tensors=tuple([TensorKind(tensor.name, tensor.datatype, tensor.shape[skip:]) for tensor in tensors]),
        outputs=outputs,
        parameters=msgspec.json.encode(parameters, order="deterministic").decode() if parameters else "",
        alone=not together,
        stream=stream,
    )
    return Call(kind, first[0] if together else 1, tuple([tensor.data for tensor in tensors]))


def streamed(call: Call) -> Call:
    """Give the same call with its answer in parts; it is then made alone, so its tensors have their whole shapes."""
    kind = call.kind
    tensors = kind.tensors
    if not kind.alone:
        tensors = tuple([tensor._replace(tail=(call.rows, *tensor.tail)) for tensor in tensors])
    return Call(kind._replace(tensors=tensors, alone=True, stream=True), 1, call.data)
