"""Tensors between JSON and bytes: flat or nested lists there, little-endian row-major elements here.

A BYTES element is its length as a little-endian uint32 and then its bytes, as in the protocol's binary extension.
Types and ranges are checked by msgspec while it decodes, so no value is looked at twice.
"""

from __future__ import annotations

import base64
import re
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Annotated, Any, NamedTuple

import msgspec

from tiffin_serve.protocol.datatypes import DATATYPES, Datatype, Kind
from tiffin_serve.protocol.errors import RequestError

INT64_LOW, INT64_HIGH = -(2**63), 2**63 - 1
_LENGTH = struct.Struct("<I")
_ARRAYS = frozenset("bBhHiIqQfd")
"""Codes of the datatypes that are arrays as they are: all numbers but halves."""
_brackets = re.compile(rb"[\[ \t\r\n]*").match
_BF16, _FP32 = DATATYPES["BF16"], DATATYPES["FP32"]


class Base64(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Bytes among rows, which need not be text: `{"b64": "..."}`, as TensorFlow Serving has it."""

    b64: str

    def encode(self) -> bytes:
        """Give the bytes; raises ValueError, of which binascii.Error is one: a letter beyond ASCII is another."""
        return base64.b64decode(self.b64, validate=True)


def depth_of(raw: msgspec.Raw) -> int:
    """Say how deep JSON data is nested, by the brackets that it begins with; at least 1."""
    return _brackets(raw).group().count(b"[") or 1  # type: ignore[union-attr] # nothing is matched, too


def explain(error: Exception, field: str) -> str:
    """Say in one sentence what is wrong with `field`: msgspec's `$` becomes the field's own name."""
    if isinstance(error, RecursionError):
        return f"{field}: nested too deep"
    if isinstance(error, UnicodeError):
        return f"{field}: not valid UTF-8"
    what, _, where = str(error).partition(" - at `$")
    said = what if what.startswith("JSON") else what[:1].lower() + what[1:]
    return f"{field}{where.rstrip('`')}: {said}"


class Reading(NamedTuple):
    """How JSON data of one form is read: so deep, of so many values, for a datatype and shape; `field` has it."""

    decode: Callable[[msgspec.Raw], list[Any]]
    depth: int
    size: int
    wanted: Datatype
    shape: tuple[int, ...]
    field: str

    @staticmethod
    def of(sent: Datatype, wanted: Datatype, shape: tuple[int, ...], depth: int, field: str) -> Reading:
        """Say how to read data that was declared as `sent` into a `wanted` tensor; raises RequestError."""
        if sent is _BF16:
            raise RequestError(f"{field}: BF16 is sent in binary form only")
        if depth not in {1, len(shape)} and not (0 in shape and depth == shape.index(0) + 1):
            dimensions = f"shape {list(shape)} has {len(shape)} dimensions"
            raise RequestError(f"{field}: data is nested {depth} deep, but {dimensions}")
        return Reading(_decoder(sent, wanted, depth).decode, depth, prod(shape), wanted, shape, field)

    def read(self, raw: msgspec.Raw) -> bytes:
        """Give the tensor's bytes; raises RequestError."""
        decode, depth, size, wanted, shape, field = self
        try:
            values = decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise RequestError(explain(error, field)) from error
        if depth > 1:
            values = _flatten(values, shape, field)
        elif len(values) != size:
            raise RequestError(f"{field}: shape {list(shape)} needs {size} values, not {len(values)}")
        return pack(values, wanted, field)


def read_json(raw: msgspec.Raw, sent: Datatype, wanted: Datatype, shape: Sequence[int], field: str) -> bytes:
    """Read JSON data that was declared as `sent` into the bytes of a `wanted` tensor; raises RequestError."""
    return Reading.of(sent, wanted, tuple(shape), depth_of(raw), field).read(raw)


def values_decoder(wanted: Datatype, depth: int) -> Callable[[bytes], list[Any]]:
    """Give what decodes JSON of values nested so deep, none of which is missing; it raises what msgspec does."""
    return _decoder(wanted, wanted, depth).decode


def read_values(values: Any, wanted: Datatype, shape: Sequence[int], field: str) -> tuple[tuple[int, ...], bytes]:
    """Read plain nested lists as a tensor whose unknown dimensions (-1) are taken from the data.

    Returns the shape and the bytes. A null among floats is a missing value, NaN; raises RequestError.
    """
    try:
        checked = msgspec.convert(values, _nested(_element(wanted, wanted, missing=True), len(shape)))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RequestError(explain(error, field)) from error
    found = _measure(checked, shape, field)
    flat = _flatten(checked, found, field)
    if wanted.kind is Kind.FLOAT and None in flat:
        flat = [float("nan") if value is None else value for value in flat]
    return found, pack(flat, wanted, field)


def pack(values: Sequence[Any], datatype: Datatype, field: str) -> bytes:
    """Turn flat values into bytes; raises RequestError where one does not fit the type."""
    code = datatype.code
    try:
        if code in _ARRAYS:
            return array(code, values).tobytes()
        if datatype.kind is Kind.TEXT:
            return join_bytes(value.encode() for value in values)
        if datatype.kind is Kind.BOOL:
            return bytes(values)
        return struct.pack(f"<{len(values)}e", *values) if code else narrow(array("f", values))
    except OverflowError as error:
        raise RequestError(f"{field}: a value does not fit {datatype.name}") from error
    except UnicodeError as error:
        raise RequestError(explain(error, field)) from error
    except ValueError as error:
        raise RequestError(f"{field}: not valid base64: {error}") from error


def join_bytes(values: Iterable[bytes]) -> bytes:
    """Write the elements of a BYTES tensor."""
    return b"".join([_LENGTH.pack(len(value)) + value for value in values])


def widen(data: memoryview) -> memoryview:
    """Give BF16 values as FP32: theirs is its upper half."""
    return memoryview(array("I", [value << 16 for value in data.cast("H")])).cast("B")


def narrow(values: array[float]) -> bytes:
    """Round FP32 values to BF16, to the nearest and of two to the even one; NaN stays NaN."""
    bits = memoryview(values).cast("B").cast("I")
    halves = [
        (value >> 16 | 0x40) if value & 0x7FFFFFFF > 0x7F800000 else (value + 0x7FFF + (value >> 16 & 1)) >> 16  # noqa: PLR2004 - the bits of an FP32
        for value in bits
    ]
    return array("H", halves).tobytes()


def unpack(data: memoryview, datatype: Datatype) -> list[Any]:
    """Turn bytes into flat values; BYTES elements stay bytes."""
    code = datatype.code
    if code in _ARRAYS or code == "?":
        numbers: Any = data.cast(code)  # type: ignore[call-overload] # the code is known at run time only
        values: list[Any] = numbers.tolist()
        return values
    if datatype.kind is Kind.TEXT:
        return list(elements(data))
    return list(struct.unpack(f"<{len(data) // 2}e", data)) if code else unpack(widen(data), _FP32)


def lengths(data: memoryview) -> Iterator[int]:
    """Walk the lengths of a BYTES tensor's elements; raises ValueError where one leads past the end."""
    position = 0
    while position < len(data):
        if position + 4 > len(data):
            raise ValueError("a BYTES tensor ends within the length of an element")
        (length,) = _LENGTH.unpack_from(data, position)
        position += 4 + length
        if position > len(data):
            raise ValueError("a BYTES element is longer than its tensor")
        yield length


def elements(data: memoryview) -> Iterator[bytes]:
    """Walk the elements of a BYTES tensor; raises ValueError where a length leads past the end."""
    position = 0
    for length in lengths(data):
        position += 4 + length
        yield bytes(data[position - length : position])


def texts(values: Sequence[bytes]) -> tuple[list[str], bool]:
    """Turn BYTES elements into JSON strings; where one is not UTF-8, all are base64 and the second value is true."""
    try:
        return [value.decode() for value in values], False
    except UnicodeDecodeError:
        return [base64.b64encode(value).decode() for value in values], True


def nest(values: Sequence[Any], shape: Sequence[int]) -> Any:
    """Turn flat row-major values into nested lists of the shape."""
    nested: Any = list(values)
    for size, rows in zip(shape[:0:-1], _rows_by_axis(shape), strict=True):
        nested = [nested[row * size : (row + 1) * size] for row in range(rows)]
    return nested


def _rows_by_axis(shape: Sequence[int]) -> list[int]:
    return [prod(shape[:axis]) for axis in range(len(shape) - 1, 0, -1)]


@lru_cache(maxsize=512)
def _decoder(sent: Datatype, wanted: Datatype, depth: int) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_nested(_element(sent, wanted), depth))


@lru_cache(maxsize=512)
def _nested(element: Any, depth: int) -> Any:
    return element if depth == 0 else list[_nested(element, depth - 1)]  # type: ignore[misc] # types made at run time


def _element(sent: Datatype, wanted: Datatype, *, missing: bool = False) -> Any:
    """Give the type of one JSON value, with the range that both datatypes hold exactly."""
    if sent.kind is Kind.TEXT:
        return str | Base64 if missing else str
    if sent.kind is Kind.BOOL:
        return bool
    if sent.kind is Kind.INT:
        low, high = max(sent.low, INT64_LOW), min(sent.high, INT64_HIGH)
        if wanted.kind is Kind.FLOAT:
            low, high = max(low, -wanted.exact), min(high, wanted.exact)
        elif sent.high > INT64_HIGH:
            return Annotated[int, msgspec.Meta(ge=0)]
        return Annotated[int, msgspec.Meta(ge=int(low), le=int(high))]
    if sent.name == "FP64":
        return float | None if missing else float
    bounded: Any = Annotated[float, msgspec.Meta(ge=sent.low, le=sent.high)]
    return bounded | None if missing else bounded


def _flatten(nested: Any, shape: Sequence[int], field: str) -> list[Any]:
    level = [nested]
    for size in shape:
        if any(len(row) != size for row in level):
            raise RequestError(f"{field}: the nested lists do not have the shape {list(shape)}")
        level = list(chain.from_iterable(level))
    return level


def _measure(nested: Any, shape: Sequence[int], field: str) -> tuple[int, ...]:
    """Find the lengths of the nested lists along the first element of each, and hold them against `shape`."""
    found: list[int] = []
    for axis, size in enumerate(shape):
        length = len(nested)
        if size not in {-1, length}:
            place = field + "[0]" * axis
            raise RequestError(f"{place}: needs {size} values, not {length}")
        found.append(length)
        nested = nested[0] if length and axis + 1 < len(shape) else ()
    return tuple(found)
