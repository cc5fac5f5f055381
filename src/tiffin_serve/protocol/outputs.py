"""A model's outputs as they arrive: raw bytes, cut for each request, turned into JSON only for those who want JSON."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import Any

import msgspec

from tiffin_serve.protocol.datatypes import DATATYPES, Kind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.frames import FrameError, Part, Result, result_bodies
from tiffin_serve.protocol.tensors import lengths, texts, unpack


class InferOutput(msgspec.Struct, omit_defaults=True):
    """One output tensor of an answer, its data flat and row-major."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: list[Any]
    parameters: dict[str, Any] | None = None


class BinaryOutput(msgspec.Struct):
    """One output tensor of an answer whose data stands behind the JSON; `parameters` say how long it is."""

    name: str
    datatype: str
    shape: Sequence[int]
    parameters: dict[str, Any]


class InferAnswer(msgspec.Struct, omit_defaults=True):
    """The answer to an inference request."""

    model_name: str
    model_version: str
    outputs: Sequence[InferOutput | BinaryOutput]
    id: str | None = None


class Output(msgspec.Struct, frozen=True, gc=False):
    """One output tensor: little-endian row-major elements, BYTES as in the protocol's binary extension."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: memoryview


def read_outputs(result: Result | Part, body: memoryview) -> list[Output]:
    """Read the tensors of a result; raises FrameError where bytes, shape and datatype disagree."""
    tensors = zip(result.outputs, result_bodies(result, body), strict=True)
    outputs = [Output(tensor.name, tensor.datatype, tensor.shape, data) for tensor, data in tensors]
    for output in outputs:
        _check(output)
    return outputs


def _check(output: Output) -> None:
    datatype = DATATYPES.get(output.datatype)
    if datatype is None:
        raise FrameError(f"output '{output.name}' has the unknown datatype {output.datatype}")
    try:
        found = sum(1 for _ in lengths(output.data)) if datatype.kind is Kind.TEXT else len(output.data) / datatype.size
    except ValueError as error:
        raise FrameError(f"output '{output.name}' cannot be read: {error}") from error
    if found != _count(output.shape):
        raise FrameError(f"output '{output.name}' has {found:g} values for the shape {list(output.shape)}")


@lru_cache(maxsize=256)
def _count(shape: tuple[int, ...]) -> int:
    """Count the values that a shape holds; none has a negative size, though two of them make a good product."""
    return prod(shape) if min(shape, default=0) >= 0 else -1


def split(output: Output, sizes: Sequence[int]) -> list[Output]:
    """Cut an output along its first dimension into pieces of so many rows; together they are all of it."""
    name, datatype, data, tail = output.name, output.datatype, output.data, output.shape[1:]
    width = prod(tail)
    if DATATYPES[datatype].kind is Kind.TEXT:
        ends = [0, *accumulate(4 + length for length in lengths(data))]
        offsets = [ends[row * width] for row in accumulate(sizes, initial=0)]
    else:
        size = width * DATATYPES[datatype].size
        offsets = [row * size for row in accumulate(sizes, initial=0)]
    shapes = {rows: (rows, *tail) for rows in set(sizes)}
    return [
        Output(name, datatype, shapes[rows], data[start:end])
        for rows, start, end in zip(sizes, offsets, offsets[1:], strict=False)
    ]


def as_json(output: Output) -> InferOutput:
    """Give an output with its values in a list; BYTES that are not UTF-8 become base64, and say so."""
    datatype = DATATYPES[output.datatype]
    values = unpack(output.data, datatype)
    if datatype.kind is not Kind.TEXT:
        return InferOutput(output.name, output.datatype, output.shape, values)
    values, encoded = texts(values)
    parameters = {"content_type": "base64"} if encoded else None
    return InferOutput(output.name, output.datatype, output.shape, values, parameters)


def as_binary(output: Output) -> BinaryOutput:
    """Give an output whose elements follow behind the JSON."""
    return BinaryOutput(output.name, output.datatype, output.shape, {"binary_data_size": len(output.data)})


def select(outputs: list[Output], names: Sequence[str]) -> list[Output]:
    """Give the outputs of these names in this order, or all of them; raises RequestError where there is none such."""
    if not names:
        return outputs
    named = {output.name: output for output in outputs}
    for name in names:
        if name not in named:
            raise RequestError(f"unknown output '{name}'")
    return [named[name] for name in names]
