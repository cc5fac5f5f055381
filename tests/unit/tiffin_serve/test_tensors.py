from __future__ import annotations

import json
import math
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.protocol.datatypes import DATATYPES, accepts
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.tensors import elements, nest, read_json, read_values, texts, unpack
from tiffin_serve.worker import tensors as worker

IN_JSON = sorted(DATATYPES.keys() - {"BF16"})
WIDTHS = {"FP16": 16, "FP32": 32, "FP64": 64}
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def values_of(name: str) -> st.SearchStrategy[Any]:
    datatype = DATATYPES[name]
    if name == "BOOL":
        return st.booleans()
    if name == "BYTES":
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    if name in WIDTHS:
        return st.floats(allow_nan=False, allow_infinity=False, width=WIDTHS[name])  # type: ignore[arg-type] # 16, 32, 64
    return st.integers(int(datatype.low), int(datatype.high))


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, list[int], list[Any]]:
    name, shape = draw(st.sampled_from(IN_JSON)), draw(shapes)
    size = math.prod(shape)
    return name, shape, draw(st.lists(values_of(name), min_size=size, max_size=size))


def read(data: Any, name: str, shape: list[int], sent: str = "") -> bytes:
    raw = msgspec.Raw(data if isinstance(data, bytes) else json.dumps(data).encode())
    return read_json(raw, DATATYPES[sent or name], DATATYPES[name], shape, "input 'x'")


@given(tensors())
def test_json_becomes_bytes_and_bytes_become_the_same_json(tensor: tuple[str, list[int], list[Any]]) -> None:
    name, shape, values = tensor
    flat = read(values, name, shape)
    nested = nest(values, shape)
    assert read(nested, name, shape) == flat
    found, also = read_values(nested, DATATYPES[name], [-1] * len(shape), "rows")
    assert (list(found), also) == (shape, flat)
    back = unpack(memoryview(flat), DATATYPES[name])
    assert (texts(back)[0] if name == "BYTES" else back) == values


@given(tensors())
def test_the_worker_reads_and_writes_the_same_bytes_with_and_without_numpy(
    tensor: tuple[str, list[int], list[Any]],
) -> None:
    name, shape, values = tensor
    data = read(values, name, shape)
    spec = {"name": "x", "datatype": name, "shape": shape, "size": len(data)}
    lists = worker.decode([spec], memoryview(data), None)["x"]
    assert lists == nest(values, shape)
    assert worker.encode(lists, name, None) == (name, shape, data)
    array = worker.decode([spec], memoryview(bytearray(data)), np)["x"]
    assert array.tolist() == lists
    datatype, found, again = worker.encode(array, None if name != "BYTES" else name, np)
    assert (datatype, list(found), again) == (name, shape, data)


@pytest.mark.parametrize(
    ("name", "shape", "data", "message"),
    [
        ("FP64", [2, 2], [1, 2, 3], "input 'x': shape [2, 2] needs 4 values, not 3"),
        ("FP64", [2, 2], [[1, 2], [3]], "input 'x': the nested lists do not have the shape [2, 2]"),
        ("FP64", [2, 2], [[1, 2]], "input 'x': the nested lists do not have the shape [2, 2]"),
        ("FP64", [2, 2], [[[1, 2], [3, 4]]], "input 'x': data is nested 3 deep, but shape [2, 2] has 2 dimensions"),
        ("FP64", [2], [1, "2"], "input 'x'[1]: expected `float`, got `str`"),
        ("FP64", [2], [1, True], "input 'x'[1]: expected `float`, got `bool`"),
        ("FP64", [2], [1, None], "input 'x'[1]: expected `float`, got `null`"),
        ("FP64", [1], b"[NaN]", "input 'x': JSON is malformed: invalid character (byte 1)"),
        ("FP64", [1], b"[1e999]", "input 'x'[0]: number out of range"),
        ("FP32", [1], [1e300], "input 'x'[0]: expected `float` <= 3.4028234663852886e+38"),
        ("INT8", [1], [128], "input 'x'[0]: expected `int` <= 127"),
        ("INT64", [1], [1.5], "input 'x'[0]: expected `int`, got `float`"),
        ("INT64", [1], [2**63], "input 'x'[0]: expected `int` <= 9223372036854775807"),
        ("UINT64", [1], [2**64], "input 'x': a value does not fit UINT64"),
        ("UINT64", [1], [-1], "input 'x'[0]: expected `int` >= 0"),
        ("BOOL", [1], [1], "input 'x'[0]: expected `bool`, got `int`"),
        ("BYTES", [1], [1], "input 'x'[0]: expected `str`, got `int`"),
        ("FP64", [1], 1, "input 'x': expected `array`, got `int`"),
        ("FP64", [1], {"a": 1}, "input 'x': expected `array`, got `object`"),
    ],
)
def test_data_that_does_not_fit_is_refused_with_its_place(name: str, shape: list[int], data: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(data, name, shape)
    assert caught.value.message == message


def test_whole_numbers_are_read_as_floats_only_when_they_fit_exactly() -> None:
    assert read([2**53], "FP64", [1], "INT64") == struct.pack("<d", 2**53)
    with pytest.raises(RequestError, match="expected `int` <= 9007199254740992"):
        read([2**53 + 1], "FP64", [1], "INT64")


def test_a_narrow_type_becomes_a_wide_one_and_never_the_other_way() -> None:
    allowed = {(a, b) for a in DATATYPES for b in DATATYPES if a != b and accepts(DATATYPES[a], DATATYPES[b])}
    assert ("FP64", "FP32") in allowed
    assert ("FP32", "INT64") in allowed
    assert ("INT64", "UINT32") in allowed
    assert not {("FP32", "FP64"), ("INT64", "UINT64"), ("INT64", "FP32"), ("FP64", "BOOL"), ("FP64", "BYTES")} & allowed


def test_deep_nesting_is_refused_and_does_not_end_the_process() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(RequestError, match="nested"):
        read(deep, "FP64", [1])


def test_text_that_is_not_utf8_leaves_as_base64() -> None:
    assert texts([b"a", b"\xff"]) == (["YQ==", "/w=="], True)


def test_an_element_that_is_longer_than_its_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than its tensor"):
        list(elements(memoryview(b"\x05\x00\x00\x00abc")))


def test_the_worker_sends_what_models_give() -> None:
    assert worker.encode(np.array(["a", "ü"]), None, np)[:2] == ("BYTES", (2,))
    assert worker.encode(np.array([1, 2], dtype=object), None, np)[:2] == ("INT64", (2,))
    assert worker.encode(np.array([1, 2], dtype=">i4"), None, np) == ("INT32", (2,), struct.pack("<2i", 1, 2))
    assert worker.encode(np.float32(1.5), None, np) == ("FP32", (), struct.pack("<f", 1.5))
    assert worker.encode([[1, 2], [3, 4]], "FP64", None)[1] == [2, 2]
    assert worker.encode([True, False], None, None)[0] == "BOOL"
    assert worker.encode(["a"], None, None) == ("BYTES", [1], b"\x01\x00\x00\x00a")


@pytest.mark.parametrize(("value", "numpy"), [([[1], [1, 2]], None), (np.array([1j]), np)])
def test_the_worker_refuses_what_is_no_tensor(value: Any, numpy: Any) -> None:
    with pytest.raises(TypeError):
        worker.encode(value, None, numpy)
