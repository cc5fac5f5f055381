"""Arrays of NumPy as npy: read and written as NumPy does, and refused where they are not what they say."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.datatypes import DATATYPES
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.npy import bind_npy, read_npy, write_npy
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensors import unpack

NAMED = Signature(inputs=(TensorSpec("input", "FP64", (-1, 2)),), columns=("a", "b"), batches=True)
UNNAMED = Signature(inputs=(TensorSpec("input", "FP32", (-1, 2)),), batches=True)
FREE = Signature()


def values(call: Call) -> list[list[Any]]:
    tensors = zip(call.kind.tensors, call.data, strict=True)
    return [unpack(memoryview(data), DATATYPES[kind.datatype]) for kind, data in tensors]


def saved(array: Any, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), version=version)
    return file.getvalue()


DTYPES = ["?", "i1", "<i2", ">i4", "<i8", "u1", ">u2", "<u4", ">u8", "<f2", ">f4", "<f8"]


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 4), min_size=0, max_size=3),
    st.sampled_from([(1, 0), (2, 0), (3, 0)]),
    st.randoms(),
)
def test_arrays_of_numpy_are_read_and_written(
    dtype: str, shape: list[int], version: tuple[int, int], random: Any
) -> None:
    size = int(np.prod(shape, dtype=int))
    array = np.array([random.randint(0, 1) for _ in range(size)], dtype).reshape(shape)
    found = read_npy(saved(array, version))
    assert found.shape == tuple(shape)
    assert unpack(found.data, found.datatype) == array.ravel().tolist()
    again = np.load(io.BytesIO(write_npy(Output("y", found.datatype.name, found.shape, found.data))))
    assert again.dtype == array.dtype.newbyteorder("<")
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize("array", [["a", "ü€😀", ""], [[b"a", b"\xff"]]], ids=["text", "bytes"])
def test_texts_of_numpy_are_read_and_written(array: Any) -> None:
    found = read_npy(saved(np.array(array)))
    again = np.load(io.BytesIO(write_npy(Output("y", "BYTES", found.shape, found.data))))
    assert again.tolist() == array


def test_a_matrix_in_fortrans_order_is_turned() -> None:
    array = np.asfortranarray([[1.0, 2], [3, 4], [5, 6]])
    assert b"'fortran_order': True" in saved(array)
    assert values(bind_npy(saved(array), NAMED)) == [[1, 2, 3, 4, 5, 6]]


def test_arrays_become_what_the_model_takes() -> None:
    assert values(bind_npy(saved(np.array([[1, 2]], "i8")), UNNAMED)) == [[1, 2]]
    assert values(bind_npy(saved(np.array([[0.5, 2]], "f8")), UNNAMED)) == [[0.5, 2]]
    assert values(bind_npy(saved(np.array([[1, 2]], "i8")), FREE)) == [[1, 2]]
    columns = Signature(inputs=(TensorSpec("a", "FP32", (-1,)), TensorSpec("b", "INT8", (-1, 1))), batches=True)
    assert values(bind_npy(saved(np.array([[1, 2], [3, 4]], "i4")), columns)) == [[1, 3], [2, 4]]


GOOD = saved(np.array([[1.0, 2.0]]))


def header(text: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode() + data


REFUSED: list[tuple[bytes, str]] = [
    (b"", "does not begin with"),
    (b"PK\3\4", "does not begin with"),
    (GOOD[:7], "only the versions"),
    (GOOD.replace(b"\1\0", b"\4\0", 1), "only the versions 1.0, 2.0 and 3.0 are read"),
    (GOOD[:9], "ends within its header"),
    (GOOD[:40], "ends within its header"),
    (GOOD[:-1], "npy: shape [1, 2] needs 16 bytes, not 15"),
    (GOOD + b"\0", "npy: shape [1, 2] needs 16 bytes, not 17"),
    (b"\x93NUMPY\2\0\xff\xff\xff\xff", "its header is too long"),
    (header("__import__('os').system('false')"), "not one of a plain array"),
    (header("{'descr': '<f8', 'fortran_order': False}"), "not one of a plain array"),
    (header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}"), "not one of a plain array"),
    (header("{'descr': '<f8', 'fortran_order': 1, 'shape': (1,)}"), "not one of a plain array"),
    (header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"12345678"), "have to be unpickled"),
    (header("{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}", bytes(16)), "dtype 'c16' is not read"),
    (header("{'descr': '<M8', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "dtype 'M8' is not read"),
    (header("{'descr': '<U0', 'fortran_order': False, 'shape': (1,)}"), "texts of no length"),
    (header("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}", b"\xff" * 4), "not valid Unicode"),
    (header("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", b"\2"), "a BOOL is the byte 0 or 1"),
    (header("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 99 + ",)}"), "its shape cannot be read"),
    (header("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 40 + ")}"), "its shape cannot be read"),
    (header("{'descr': '<f8', 'fortran_order': True, 'shape': (1,1,1)}", bytes(8)), "in Fortran's order"),
    (header("{'descr': '<f8', 'fortran_order': False, 'shape': ()}", bytes(8)), "there are no rows"),
    (saved(np.zeros((0, 2))), "there are no rows"),
    (saved(np.zeros((1, 3))), "shape [1, 3] does not fit [-1, 2]"),
    (saved(np.array([["a", "b"]])), "datatype must be FP64, not BYTES"),
    (saved(np.array([[1, 2**60]])), "a value is no exact FP64"),
]


@pytest.mark.parametrize(("body", "message"), REFUSED, ids=[f"{place}-{case[1]}" for place, case in enumerate(REFUSED)])
def test_npy_that_cannot_be_read_is_refused(body: bytes, message: str) -> None:
    assert values(bind_npy(GOOD, NAMED)) == [[1, 2]]
    with pytest.raises(RequestError) as caught:
        bind_npy(body, NAMED)
    assert message in caught.value.message


@pytest.mark.parametrize("value", [300, -1])
def test_npy_values_that_do_not_fit_are_refused(value: int) -> None:
    with pytest.raises(RequestError, match="does not fit UINT8"):
        bind_npy(saved(np.array([value])), Signature(inputs=(TensorSpec("x", "UINT8", (-1,)),)))
    with pytest.raises(RequestError, match="does not fit FP32"):
        bind_npy(saved(np.array([[1e39, 1]])), UNNAMED)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.sampled_from([NAMED, UNNAMED, FREE]))
def test_npy_with_a_changed_byte_is_read_or_refused(place: int, byte: int, signature: Signature) -> None:
    with contextlib.suppress(RequestError):
        bind_npy(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :], signature)
