"""Tensors that arrive as bytes: held against their shape, and taken as they are where the model wants the same type."""

from __future__ import annotations

import base64
import binascii
from array import array
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

from tiffin_serve.protocol.call import Buffer
from tiffin_serve.protocol.datatypes import DATATYPES, Datatype, Kind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.tensors import elements, join_bytes, lengths, pack, unpack, widen

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_BF16, _FP32 = DATATYPES["BF16"], DATATYPES["FP32"]


def read_raw(data: memoryview, sent: Datatype, wanted: Datatype, shape: Sequence[int], field: str) -> Buffer:
    """Read the elements of a tensor sent as one datatype into those of another; raises RequestError.

    Little-endian, row-major; BOOL is one byte, a BYTES element its length as uint32 and then its bytes.
    """
    _check(data, sent, shape, field)
    return data if sent is wanted else convert(data, sent, wanted, field)


def convert(data: memoryview, sent: Datatype, wanted: Datatype, field: str) -> bytes:
    """Change the datatype of elements; raises RequestError where a value does not fit, whole numbers exactly."""
    if sent is _BF16:
        data, sent = widen(data), _FP32
    values: Any = data.cast(sent.code) if sent.code not in {"", "e"} else unpack(data, sent)  # type: ignore[call-overload] # the code is known at run time only
    if wanted.kind is Kind.FLOAT and len(values):
        if sent.kind is Kind.INT:
            _check_range(values, wanted.exact, f"{field}: a value is no exact {wanted.name}")
        elif sent.size > wanted.size:
            finite = [value for value in values if abs(value) != float("inf")]
            _check_range(finite or [0.0], wanted.high, f"{field}: a value does not fit {wanted.name}")
    if wanted.code in {"", "e"}:
        return pack(list(values), wanted, field)
    try:
        return array(wanted.code, values).tobytes()
    except OverflowError as error:
        raise RequestError(f"{field}: a value does not fit {wanted.name}") from error


def from_base64(data: bytes, field: str) -> bytes:
    """Decode each element of a BYTES tensor; raises RequestError."""
    try:
        return join_bytes(base64.b64decode(element, validate=True) for element in elements(memoryview(data)))
    except binascii.Error as error:
        raise RequestError(f"{field}: not valid base64: {error}") from error


def weave(columns: Sequence[Buffer], datatype: Datatype) -> bytes:
    """Make the rows of a matrix of its columns, which are equally long."""
    if datatype.kind is Kind.TEXT:
        return join_bytes(chain.from_iterable(zip(*[elements(memoryview(data)) for data in columns], strict=True)))
    code = _CODES[datatype.size]
    woven = array(code, bytes(sum(map(len, columns))))
    for position, data in enumerate(columns):
        woven[position :: len(columns)] = array(code, bytes(data))
    return woven.tobytes()


def unweave(data: memoryview, width: int, datatype: Datatype) -> list[bytes]:
    """Make the columns of a matrix of its rows."""
    whole = array(_CODES[datatype.size], bytes(data))
    return [whole[position::width].tobytes() for position in range(width)]


def _check_range(values: Any, bound: float, message: str) -> None:
    if max(values) > bound or min(values) < -bound:
        raise RequestError(message)


def _check(data: memoryview, datatype: Datatype, shape: Sequence[int], field: str) -> None:
    wanted = prod(shape)
    if datatype.kind is Kind.TEXT:
        try:
            found = sum(1 for _ in lengths(data))
        except ValueError as error:
            raise RequestError(f"{field}: {error}") from error
        if found != wanted:
            raise RequestError(f"{field}: shape {list(shape)} needs {wanted} values, not {found}")
    elif len(data) != wanted * datatype.size:
        needed = f"{wanted * datatype.size} bytes of {datatype.name}"
        raise RequestError(f"{field}: shape {list(shape)} needs {needed}, not {len(data)}")
    elif datatype.kind is Kind.BOOL and bytes(data).strip(b"\0\1"):
        raise RequestError(f"{field}: a BOOL is the byte 0 or 1")
