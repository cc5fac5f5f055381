"""NumPy's npy format, versions 1 to 3 (numpy.lib.format), read and written without NumPy and without pickle."""

from __future__ import annotations

import re
import struct
from array import array
from math import prod
from typing import NamedTuple

from tiffin_serve.protocol.call import Call, Tensor, make_call
from tiffin_serve.protocol.datatypes import DATATYPES, Datatype, Kind, accepts
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.raw import convert, read_raw, unweave, weave
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensors import elements, join_bytes, widen

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
ALIGNMENT = 64
_VALUE = r"'[^'\\]*'|True|False|\([\d, ]*\)"
_ENTRY = re.compile(rf"\s*'(descr|fortran_order|shape)'\s*:\s*({_VALUE})\s*(,|$)")
_DTYPE = re.compile(r"([<>|=]?)([a-zA-Z?])(\d*)$")
_NAMES = {"b1": "BOOL", "?": "BOOL"} | {
    f"{letter}{bits // 8}": f"{kind}{bits}"
    for letter, kind, sizes in (
        ("i", "INT", (8, 16, 32, 64)),
        ("u", "UINT", (8, 16, 32, 64)),
        ("f", "FP", (16, 32, 64)),
    )
    for bits in sizes
}
_DTYPES = {name: code for code, name in _NAMES.items() if code != "?"}
_SWAP = {2: "H", 4: "I", 8: "Q"}


class Array(NamedTuple):
    """An array as tensors are: little-endian and row-major."""

    datatype: Datatype
    shape: tuple[int, ...]
    data: memoryview


class _Header(NamedTuple):
    order: str
    kind: str
    size: int
    fortran: bool
    shape: tuple[int, ...]


def read_npy(body: bytes) -> Array:
    """Read an array; raises RequestError."""
    header, data = _read_header(body)
    order, kind, size, fortran, shape = header
    name = _NAMES.get(f"{kind}{size or ''}")
    if name is None and kind not in {"U", "S"}:
        hint = "; objects would have to be unpickled" if kind == "O" else ""
        raise RequestError(f"npy: the dtype '{kind}{size or ''}' is not read here{hint}")
    width = size * 4 if kind == "U" else size or 1
    if len(data) != prod(shape) * width:
        raise RequestError(f"npy: shape {list(shape)} needs {prod(shape) * width} bytes, not {len(data)}")
    if name is None:
        datatype, data = DATATYPES["BYTES"], memoryview(join_bytes(_texts(data, kind, width, order)))
    else:
        datatype, data = DATATYPES[name], _little(data, width) if order == ">" else data
    if fortran and len(shape) > 1:
        data = _row_major(data, datatype, shape)
    read_raw(data, datatype, datatype, shape, "npy")
    return Array(datatype, shape, data)


def _read_header(body: bytes) -> tuple[_Header, memoryview]:
    if not body.startswith(MAGIC):
        raise RequestError("npy: does not begin with \\x93NUMPY")
    version = body[6:8]
    if version not in {b"\1\0", b"\2\0", b"\3\0"}:
        raise RequestError("npy: only the versions 1.0, 2.0 and 3.0 are read")
    start = 10 if version == b"\1\0" else 12
    if len(body) < start:
        raise RequestError("npy: ends within its header")
    length = int.from_bytes(body[8:start], "little")
    if length > LONGEST_HEADER or start + length > len(body):
        raise RequestError("npy: ends within its header" if length <= LONGEST_HEADER else "npy: its header is too long")
    text = body[start : start + length].decode("utf-8" if version == b"\3\0" else "latin-1", "replace")
    return _parse(text), memoryview(body)[start + length :]


def _parse(text: str) -> _Header:
    """Read the header's dict literal, which numpy always writes in this one way."""
    inner, found = text.strip().removeprefix("{").removesuffix("}").strip(), {}
    while inner:
        entry = _ENTRY.match(inner)
        if entry is None:
            break
        found[entry[1]] = entry[2]
        inner = inner[entry.end() :].strip()
    if inner or found.keys() != {"descr", "fortran_order", "shape"}:
        raise RequestError("npy: its header is not one of a plain array")
    dtype, shape = _DTYPE.match(found["descr"].strip("'")), found["shape"].strip("()").split(",")
    if dtype is None or found["fortran_order"] not in {"True", "False"} or not found["shape"].startswith("("):
        raise RequestError("npy: its header is not one of a plain array")
    sizes = [size.strip() for size in shape if size.strip()]
    if len(sizes) > 32 or any(not size.isdigit() or len(size) > 18 for size in [*sizes, dtype[3] or "0"]):  # noqa: PLR2004 - numpy's own limit once, and what fits 64 bits
        raise RequestError("npy: its shape cannot be read")
    return _Header(dtype[1], dtype[2], int(dtype[3] or 0), found["fortran_order"] == "True", tuple(map(int, sizes)))


def _texts(data: memoryview, kind: str, width: int, order: str) -> list[bytes]:
    if not width:
        raise RequestError("npy: texts of no length are not read here")
    parts = [bytes(data[start : start + width]) for start in range(0, len(data), width)]
    if kind == "S":
        return [part.rstrip(b"\0") for part in parts]
    try:
        encoding = "utf-32-be" if order == ">" else "utf-32-le"
        return [part.decode(encoding).rstrip("\0").encode() for part in parts]
    except UnicodeError as error:
        raise RequestError("npy: a text is not valid Unicode") from error


def _little(data: memoryview, width: int) -> memoryview:
    if width == 1:
        return data
    values = array(_SWAP[width], bytes(data))
    values.byteswap()
    return memoryview(values).cast("B")


def _row_major(data: memoryview, datatype: Datatype, shape: tuple[int, ...]) -> memoryview:
    if len(shape) > 2 or datatype.kind is Kind.TEXT:  # noqa: PLR2004 - a matrix
        raise RequestError("npy: this array is in Fortran's order; save numpy.ascontiguousarray of it")
    if not len(data):
        return data
    size = len(data) // shape[1]
    return memoryview(weave([data[start : start + size] for start in range(0, len(data), size)], datatype))


def bind_npy(body: bytes, signature: Signature) -> Call:
    """Hold an array against the model's signature and make the call of it; raises RequestError."""
    array_ = read_npy(body)
    if array_.shape[:1] in {(), (0,)}:
        raise RequestError("npy: there are no rows")
    inputs = signature.inputs
    if not inputs:
        tensors = [Tensor("input", array_.datatype.name, array_.shape, array_.data)]
    elif len(inputs) == 1:
        tensors = [_fit(array_, inputs[0])]
    elif signature.is_table and array_.shape[1:] == (len(inputs),) and array_.datatype.kind is not Kind.TEXT:
        columns = unweave(array_.data, len(inputs), array_.datatype)
        parts = [Array(array_.datatype, array_.shape[:1], memoryview(column)) for column in columns]
        tensors = [_fit(part, spec) for part, spec in zip(parts, inputs, strict=True)]
    else:
        raise RequestError(
            f"npy: one array of shape {list(array_.shape)} does not give the model's {len(inputs)} inputs"
        )
    return make_call(tuple(tensors), batches=signature.batches)


def _fit(sent: Array, spec: TensorSpec) -> Tensor:
    """Take numbers of any type whose values fit, since numpy's own choice is often wider than the model's."""
    wanted, field = DATATYPES[spec.datatype], f"input '{spec.name}'"
    fitted = spec.fit(sent.shape)
    if not accepts(wanted, sent.datatype) and (
        wanted.kind is not sent.datatype.kind or wanted.kind not in {Kind.INT, Kind.FLOAT}
    ):
        raise RequestError(f"{field}: datatype must be {wanted.name}, not {sent.datatype.name}")
    data = sent.data if sent.datatype is wanted else convert(sent.data, sent.datatype, wanted, field)
    return Tensor(spec.name, wanted.name, fitted, data)


def write_npy(output: Output) -> bytes:
    """Write a tensor as npy; BF16 becomes FP32, texts numpy's strings, bytes that are no text numpy's bytes."""
    data: bytes | memoryview = output.data
    datatype = DATATYPES[output.datatype]
    if datatype.name == "BF16":
        data, datatype = widen(output.data), DATATYPES["FP32"]
    if datatype.kind is Kind.TEXT:
        dtype, data = _write_texts(list(elements(output.data)))
    else:
        dtype = ("|" if datatype.size == 1 else "<") + _DTYPES[datatype.name]
    shape = "".join(f"{size}, " for size in output.shape)
    shape = shape if len(output.shape) == 1 else shape[:-2]
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({shape.strip()}), }}".encode()
    header += b" " * (-(len(MAGIC) + 4 + len(header) + 1) % ALIGNMENT) + b"\n"
    return b"".join([MAGIC, b"\1\0", struct.pack("<H", len(header)), header, data])


def _write_texts(values: list[bytes]) -> tuple[str, bytes]:
    try:
        texts = [value.decode() for value in values]
    except UnicodeDecodeError:
        longest = max(map(len, values), default=0) or 1
        return f"|S{longest}", b"".join([value.ljust(longest, b"\0") for value in values])
    longest = max(map(len, texts), default=0) or 1
    return f"<U{longest}", b"".join([text.ljust(longest, "\0").encode("utf-32-le") for text in texts])
