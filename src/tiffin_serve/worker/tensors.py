"""Tensors of a frame as arrays of numpy, or as nested lists where there is no numpy; and back.

BYTES elements become `str` where all of a tensor are UTF-8, else they stay `bytes`.
"""

from __future__ import annotations

import contextlib
import struct
from typing import Any, Iterator, List, Optional, Sequence, Tuple

DTYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_CODES = dict(zip(DTYPES, "?BHIQbhiqefd"))  # noqa: B905 - strict= is Python 3.10
_NAMES = {dtype.lstrip("<"): name for name, dtype in DTYPES.items()}
_NAMES["b1"] = "BOOL"
_LENGTH = struct.Struct("<I")

Encoded = Tuple[str, Sequence[int], bytes]


def find_numpy() -> Any:
    """Give numpy, or None where the environment has none."""
    try:
        import numpy as np
    except ImportError:
        return None
    return np


def decode(specs: Sequence["dict[str, Any]"], body: memoryview, numpy: Any) -> "dict[str, Any]":
    """Turn a frame's body into one value a tensor, by name."""
    values, position = {}, 0
    for spec in specs:
        end = position + spec["size"]
        values[spec["name"]] = _decode(spec["datatype"], spec["shape"], body[position:end], numpy)
        position = end + -end % 8
    return values


def _decode(datatype: str, shape: Sequence[int], data: memoryview, numpy: Any) -> Any:
    if datatype == "BYTES":
        elements: List[Any] = list(_elements(data))
        with contextlib.suppress(UnicodeDecodeError):
            elements = [element.decode() for element in elements]
        if numpy is None:
            return _nest(elements, shape)
        array = numpy.empty(len(elements), dtype=object)
        array[:] = elements
        return array.reshape(shape)
    if numpy is not None and datatype == "BF16":
        return numpy.array(_widen(data), dtype="<f4").reshape(shape)
    if numpy is not None:
        return numpy.frombuffer(data, dtype=DTYPES[datatype]).reshape(shape)
    if datatype == "BF16":
        return _nest(_widen(data), shape)
    code = _CODES[datatype]
    return _nest(struct.unpack("<%d%s" % (len(data) // struct.calcsize(code), code), data), shape)


def _widen(data: memoryview) -> Sequence[float]:
    """Read BF16, which no environment is sure to know: it is the upper half of an FP32."""
    halves = struct.unpack("<%dH" % (len(data) // 2), data)
    return struct.unpack("<%df" % len(halves), struct.pack("<%dI" % len(halves), *[half << 16 for half in halves]))


def _narrow(values: Sequence[float]) -> bytes:
    """Write BF16, rounded to the nearest and of two to the even one; NaN stays NaN."""
    bits = struct.unpack("<%dI" % len(values), struct.pack("<%df" % len(values), *values))
    return struct.pack(
        "<%dH" % len(bits),
        *[
            (value >> 16 | 0x40) if value & 0x7FFFFFFF > 0x7F800000 else (value + 0x7FFF + (value >> 16 & 1)) >> 16  # noqa: PLR2004 - the bits of an FP32
            for value in bits
        ],
    )


def _elements(data: memoryview) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        position += 4 + length
        yield bytes(data[position - length : position])


def _nest(values: Sequence[Any], shape: Sequence[int]) -> Any:
    if not shape:
        return values[0]
    nested = list(values)
    for axis in range(len(shape) - 1, 0, -1):
        size, rows = shape[axis], 1
        for length in shape[:axis]:
            rows *= length
        nested = [nested[row * size : (row + 1) * size] for row in range(rows)]
    return nested


def encode(value: Any, declared: Optional[str], numpy: Any) -> Encoded:
    """Turn what a model gave into datatype, shape and bytes; raises TypeError for what is no tensor."""
    if numpy is None:
        return _encode_lists(value, declared)
    array = numpy.asarray(value)
    if declared == "BF16":
        return declared, array.shape, _narrow(array.ravel().tolist())
    if declared is not None and declared != "BYTES":
        return declared, array.shape, numpy.ascontiguousarray(array, dtype=DTYPES[declared]).tobytes()
    if declared is None and array.dtype.kind in "biuf":
        name = _NAMES.get(array.dtype.str.lstrip("<>|="), "FP64")
        return name, array.shape, numpy.ascontiguousarray(array, dtype=DTYPES[name]).tobytes()
    if array.dtype.kind in "cmV":
        raise TypeError("values of the type %s cannot be sent" % array.dtype)
    return _encode_objects(array, declared, numpy)


def _encode_objects(array: Any, declared: Optional[str], numpy: Any) -> Encoded:
    values = array.ravel().tolist()
    if declared is None and values and not any(isinstance(value, (str, bytes)) for value in values):
        plain = numpy.asarray(values)
        if plain.dtype.kind in "biuf":
            return encode(plain.reshape(array.shape), None, numpy)
    return "BYTES", array.shape, join_bytes(values)


def join_bytes(values: Sequence[Any]) -> bytes:
    """Write BYTES elements: each its length and then itself; what is not bytes is written as text."""
    parts: List[bytes] = []
    for value in values:
        data = bytes(value) if isinstance(value, (bytes, bytearray)) else str(value).encode()
        parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


def _encode_lists(value: Any, declared: Optional[str]) -> Encoded:
    shape, flat = [], [value]
    while flat and isinstance(flat[0], (list, tuple)):
        size = len(flat[0])
        if any(not isinstance(row, (list, tuple)) or len(row) != size for row in flat):
            raise TypeError("the lists of the answer differ in length")
        shape.append(size)
        flat = [item for row in flat for item in row]
    datatype = declared or _guess(flat)
    if datatype == "BYTES":
        return datatype, shape, join_bytes(flat)
    try:
        if datatype == "BF16":
            return datatype, shape, _narrow(flat)
        return datatype, shape, struct.pack("<%d%s" % (len(flat), _CODES[datatype]), *flat)
    except struct.error as error:
        raise TypeError("the answer cannot be sent as %s: %s" % (datatype, error)) from error


def _guess(flat: Sequence[Any]) -> str:
    if all(isinstance(value, bool) for value in flat):
        return "BOOL" if flat else "FP64"
    if all(isinstance(value, int) for value in flat):
        return "INT64"
    return "FP64" if all(isinstance(value, (int, float)) for value in flat) else "BYTES"
