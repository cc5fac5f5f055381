"""Tensors between gRPC messages and bytes: raw entries, or typed contents with one field for several datatypes."""

from __future__ import annotations

from math import prod
from typing import Any

from tiffin_serve.protocol.datatypes import DATATYPES, Datatype, Kind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import MAX_RANK
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.tensors import lengths, pack, unpack

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of InferTensorContents that holds a datatype; FP16 and BF16 have none."""


def read_shape(tensor: Any, field: str) -> tuple[int, ...]:
    """Read a shape; raises RequestError."""
    shape = tuple(tensor.shape)
    if len(shape) > MAX_RANK:
        raise RequestError(f"{field}: shape has {len(shape)} dimensions; at most {MAX_RANK} are taken")
    if any(size < 0 for size in shape):
        raise RequestError(f"{field}: shape {list(shape)} has a negative size")
    return shape


def read_raw(data: bytes, datatype: Datatype, shape: tuple[int, ...], field: str) -> bytes:
    """Check raw contents against datatype and shape; raises RequestError."""
    count = prod(shape)
    if datatype.kind is Kind.TEXT:
        try:
            found = sum(1 for _ in lengths(memoryview(data)))
        except ValueError as error:
            raise RequestError(f"{field}: {error}") from error
        if found != count:
            raise RequestError(f"{field}: shape {list(shape)} needs {count} elements, not {found}")
        return data
    if len(data) != count * datatype.size:
        needed = f"{count * datatype.size} bytes of {datatype.name}"
        raise RequestError(f"{field}: shape {list(shape)} needs {needed}, not {len(data)}")
    if datatype.kind is Kind.BOOL and data.translate(None, b"\0\1"):
        raise RequestError(f"{field}: a byte of BOOL is neither 0 nor 1")
    return data


def read_contents(tensor: Any, datatype: Datatype, shape: tuple[int, ...], field: str) -> bytes:
    """Read typed contents; raises RequestError where they are in another field, too few, too many or out of range."""
    wanted = CONTENTS.get(datatype.name)
    if wanted is None:
        raise RequestError(f"{field}: {datatype.name} has no typed contents; send it in raw_input_contents")
    for used, _ in tensor.contents.ListFields():
        if used.name != wanted:
            raise RequestError(f"{field}: {datatype.name} belongs in {wanted}, not in {used.name}")
    values = getattr(tensor.contents, wanted)
    if len(values) != prod(shape):
        raise RequestError(f"{field}: shape {list(shape)} needs {prod(shape)} values, not {len(values)}")
    if datatype.kind is Kind.TEXT:
        return b"".join([len(value).to_bytes(4, "little") + value for value in values])
    return pack(values, datatype, field)


def convert(data: bytes, sent: Datatype, wanted: Datatype, field: str) -> bytes:
    """Turn bytes of one datatype into those of another that accepts it; raises RequestError where a value changes."""
    if sent == wanted:
        return data
    values = unpack(memoryview(data), sent)
    if sent.kind is Kind.INT and wanted.kind is Kind.FLOAT:
        inexact = next((value for value in values if abs(value) > wanted.exact), None)
        if inexact is not None:
            raise RequestError(f"{field}: {wanted.name} does not hold {inexact} exactly")
    return pack(values, wanted, field)


def write_contents(contents: Any, output: Output) -> None:
    """Put an output's values into their field."""
    getattr(contents, CONTENTS[output.datatype]).extend(unpack(output.data, DATATYPES[output.datatype]))
