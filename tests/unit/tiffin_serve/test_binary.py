"""Binary tensors: every datatype in and out unchanged, and whatever disagrees with itself refused with its place."""

from __future__ import annotations

import contextlib
import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.protocol.datatypes import DATATYPES, accepts
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import bind, read_mixed, read_request
from tiffin_serve.protocol.raw import convert, unweave, weave
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensors import elements, join_bytes, narrow, nest, texts, unpack
from tiffin_serve.worker import tensors as worker

FREE = Signature()
shapes = st.lists(st.integers(0, 4), max_size=4)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, list[int], bytes]:
    """Draw any tensor as bytes; every pattern of bits is a value but for BOOL."""
    name, shape = draw(st.sampled_from(sorted(DATATYPES))), draw(shapes)
    size = math.prod(shape)
    if name == "BYTES":
        return name, shape, join_bytes(draw(st.lists(st.binary(max_size=5), min_size=size, max_size=size)))
    if name == "BOOL":
        return name, shape, bytes(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
    length = size * DATATYPES[name].size
    return name, shape, draw(st.binary(min_size=length, max_size=length))


def request(*parts: tuple[str, str, list[int], bytes], **more: Any) -> tuple[bytes, bytes]:
    """Write a binary request: its body and its header."""
    inputs = [
        {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
        for name, datatype, shape, data in parts
    ]
    head = json.dumps({"inputs": inputs, **more}).encode()
    return head + b"".join([data for *_, data in parts]), str(len(head)).encode()


@given(st.lists(tensors(), min_size=1, max_size=3))
def test_binary_tensors_arrive_as_they_are(drawn: list[tuple[str, list[int], bytes]]) -> None:
    body, header = request(*[(f"t{place}", *tensor) for place, tensor in enumerate(drawn)])
    call = bind(read_mixed(body, header, FREE), FREE)
    assert [bytes(data) for data in call.data] == [data for *_, data in drawn]
    assert [(kind.datatype, list(kind.tail)) for kind in call.kind.tensors] == [(n, s) for n, s, _ in drawn]


def test_a_picture_is_not_copied() -> None:
    pixels = bytes(4 * 3 * 224 * 224)
    body, header = request(("pixels", "FP32", [1, 3, 224, 224], pixels))
    (data,) = bind(read_mixed(body, header, FREE), FREE).data
    assert isinstance(data, memoryview)
    assert np.shares_memory(np.frombuffer(data, np.uint8), np.frombuffer(body, np.uint8))


@given(tensors())
def test_json_and_binary_say_the_same(tensor: tuple[str, list[int], bytes]) -> None:
    name, shape, data = tensor
    values = unpack(memoryview(data), DATATYPES[name])
    parameters: dict[str, Any] = {}
    if name == "BYTES":
        values, encoded = texts(values)
        parameters = {"content_type": "base64"} if encoded else {}
    if name == "BF16" or any(isinstance(value, float) and not math.isfinite(value) for value in values):
        return  # JSON has neither
    told = {"name": "x", "datatype": name, "shape": shape, "parameters": parameters}
    for form in (values, nest(values, shape) if shape else values):
        body = json.dumps({"inputs": [{**told, "data": form}]}).encode()
        (found,) = bind(read_request(body), FREE).data
        assert bytes(found) == data


def test_bytes_in_base64_that_is_none_are_refused() -> None:
    told = {"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"content_type": "base64"}, "data": ["?"]}
    with pytest.raises(RequestError, match="input 'x': not valid base64"):
        bind(read_request(json.dumps({"inputs": [told]}).encode()), FREE)


@given(st.integers(0, 2**16 - 1))
def test_bf16_goes_to_fp32_and_back(half: int) -> None:
    data = struct.pack("<H", half)
    (wide,) = struct.unpack("<f", convert(memoryview(data), DATATYPES["BF16"], DATATYPES["FP32"], "x"))
    back = narrow(memoryview(struct.pack("<f", wide)).cast("f"))
    assert back == data or math.isnan(wide)
    (value,) = worker.decode([{"name": "x", "datatype": "BF16", "shape": [1], "size": 2}], memoryview(data), None)["x"]
    assert value == wide or math.isnan(wide)
    assert worker.encode([wide], "BF16", None)[2] == worker.encode(np.array([wide]), "BF16", np)[2] == back


@given(st.floats(width=32, allow_nan=False))
def test_rounding_to_bf16_is_to_the_nearest(value: float) -> None:
    (found,) = unpack(memoryview(narrow(memoryview(struct.pack("<f", value)).cast("f"))), DATATYPES["BF16"])
    if math.isinf(found):
        assert abs(value) >= DATATYPES["BF16"].high
    else:
        assert abs(found - value) <= max(abs(value) * 2**-8, 2**-134)


PAIRS = [(a, b) for a in DATATYPES for b in DATATYPES if a != b and accepts(DATATYPES[b], DATATYPES[a])]


@given(st.sampled_from(PAIRS), st.integers(-300, 300))
def test_a_value_survives_its_conversion(pair: tuple[str, str], number: int) -> None:
    sent, wanted = (DATATYPES[name] for name in pair)
    if not sent.low <= number <= sent.high or (sent.name == "BF16" and abs(number) > sent.exact):
        return
    value = float(number) if sent.kind.value == "float" else number
    data = (
        narrow(memoryview(struct.pack("<f", number)).cast("f"))
        if not sent.code
        else struct.pack(f"<{sent.code}", value)
    )
    if wanted.exact and abs(number) > wanted.exact:
        with pytest.raises(RequestError):
            convert(memoryview(data), sent, wanted, "x")
    else:
        assert unpack(memoryview(convert(memoryview(data), sent, wanted, "x")), wanted) == [number]


@given(st.sampled_from(sorted(DATATYPES.keys() - {"BYTES"})), st.integers(1, 4), st.integers(0, 5), st.randoms())
def test_weaving_is_undone(name: str, width: int, rows: int, random: Any) -> None:
    size = DATATYPES[name].size
    columns = [random.randbytes(rows * size) for _ in range(width)]
    assert unweave(memoryview(weave(columns, DATATYPES[name])), width, DATATYPES[name]) == columns


def test_columns_of_text_are_woven() -> None:
    woven = weave([join_bytes([b"a", b"b"]), join_bytes([b"c", b"d"])], DATATYPES["BYTES"])
    assert list(elements(memoryview(woven))) == [b"a", b"c", b"b", b"d"]


MATRIX = Signature(inputs=(TensorSpec("x", "FP32", (-1, 2)),), batches=True)
PAIR = Signature(inputs=(TensorSpec("x", "FP32", (-1, 2)), TensorSpec("y", "BYTES", (-1,))), batches=True)
GOOD = struct.pack("<4f", 1, 2, 3, 4)
TEXT = join_bytes([b"a", b"\xff"])


def test_json_and_binary_inputs_are_mixed() -> None:
    inputs = [
        {"name": "y", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]},
        {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}},
    ]
    head = json.dumps({"inputs": inputs}).encode()
    call = bind(read_mixed(head + GOOD, b"%d" % len(head), PAIR), PAIR)
    assert (call.rows, [bytes(data) for data in call.data]) == (2, [GOOD, join_bytes([b"a", b"b"])])


@pytest.mark.parametrize(
    ("signature", "body", "shape"),
    [
        (MATRIX, GOOD, (2,)),
        (Signature(inputs=(TensorSpec("x", "FP32", (2, 2)),)), GOOD, (2, 2)),
        (Signature(inputs=(TensorSpec("x", "FP32", (-1, -1)),)), GOOD, (1, 4)),
        (Signature(inputs=(TensorSpec("x", "FP32", (-1, 2, -1)),)), GOOD, (1, 2, 2)),
    ],
)
def test_a_raw_body_takes_the_shape_of_the_model(signature: Signature, body: bytes, shape: tuple[int, ...]) -> None:
    request_ = read_mixed(body, b"0", signature)
    call = bind(request_, signature)
    assert (call.kind.tensors[0].tail, bytes(call.data[0])) == (shape, body)
    assert request_.parameters == {"binary_data_output": True}


def test_a_raw_body_of_text_is_one_element() -> None:
    signature = Signature(inputs=(TensorSpec("x", "BYTES", (-1,)),))
    (data,) = bind(read_mixed(b"any\xffthing", b"0", signature), signature).data
    assert bytes(data) == join_bytes([b"any\xffthing"])


BAD: list[tuple[str, bytes, bytes, str]] = [
    ("a header that is no number", b"{}", b"x", "must be a number of bytes"),
    ("a negative header", b"{}", b"-1", "must be a number of bytes"),
    ("an endless header", b"{}", b"9" * 5000, "must be a number of bytes"),
    ("a header of another alphabet", b"{}", "٣".encode(), "must be a number of bytes"),
    ("a header beyond the body", b"{}", b"3", "says 3 bytes, but the body has 2"),
    ("a header within the JSON", b'{"inputs": []}', b"5", "request: input data was truncated"),
    ("a raw body that is cut off", GOOD[:-1], b"0", "input 'x': 15 bytes are not whole FP32 values"),
    ("a raw body that gives no shape", GOOD[:-4], b"0", "input 'x': 3 values do not give the shape [-1, 2]"),
    ("an empty raw body", b"", b"0", "the request has no rows"),
]
DISAGREE: list[tuple[str, tuple[str, str, list[int], bytes], str]] = [
    ("too few bytes", ("x", "FP32", [2, 2], GOOD[:-1]), "shape [2, 2] needs 16 bytes of FP32, not 15"),
    ("too many bytes", ("x", "FP32", [2, 2], GOOD + b"\0"), "needs 16 bytes of FP32, not 17"),
    ("another shape", ("x", "FP32", [1, 4], GOOD), "shape [1, 4] does not fit [-1, 2]"),
    ("no rows", ("x", "FP32", [0, 2], b""), "the request has no rows"),
    ("an enormous shape", ("x", "FP32", [2**62, 2], GOOD), "not 16"),
    ("a shape beyond 64 bits", ("x", "FP32", [2**64, 2], GOOD), "request.inputs[0].shape[0]: expected `int` <= "),
    ("another type", ("x", "BYTES", [2, 2], GOOD), "datatype must be FP32, not BYTES"),
    ("a wider type", ("x", "FP64", [1, 2], GOOD), "datatype must be FP32, not FP64"),
    ("a number that is not exact", ("x", "INT32", [1, 2], struct.pack("<2i", 1, 2**24 + 1)), "is no exact FP32"),
    ("an unknown type", ("x", "FP65", [2, 2], GOOD), "unknown datatype 'FP65'"),
    ("an unknown name", ("z", "FP32", [2, 2], GOOD), "unknown input 'z'"),
]


@pytest.mark.parametrize(("body", "header", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_body_that_cannot_be_cut_is_refused(body: bytes, header: bytes, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        bind(read_mixed(body, header, MATRIX), MATRIX)
    assert message in caught.value.message


@pytest.mark.parametrize(("tensor", "message"), [case[1:] for case in DISAGREE], ids=[case[0] for case in DISAGREE])
def test_a_tensor_that_disagrees_with_itself_is_refused(
    tensor: tuple[str, str, list[int], bytes], message: str
) -> None:
    assert bind(read_mixed(*request(("x", "FP32", [2, 2], GOOD)), MATRIX), MATRIX).rows == 2
    with pytest.raises(RequestError) as caught:
        bind(read_mixed(*request(tensor), MATRIX), MATRIX)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\2", "input 'x': a BOOL is the byte 0 or 1"),
        (b"", "input 'x': shape [1] needs 1 bytes of BOOL, not 0"),
    ],
)
def test_a_bool_is_0_or_1(data: bytes, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        bind(read_mixed(*request(("x", "BOOL", [1], data)), FREE), FREE)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\1\0\0", "ends within the length of an element"),
        (b"\5\0\0\0abc", "is longer than its tensor"),
        (b"\xff\xff\xff\xffabc", "is longer than its tensor"),
        (join_bytes([b"a", b"b"]), "shape [1] needs 1 values, not 2"),
        (b"", "shape [1] needs 1 values, not 0"),
    ],
)
def test_bytes_that_cannot_be_walked_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        bind(read_mixed(*request(("x", "BYTES", [1], data)), FREE), FREE)
    assert message in caught.value.message


@pytest.mark.parametrize("size", [-1, True, "16", 1.5, None, 2**70])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(RequestError, match="input 'x'"):
        read_mixed(head + GOOD, b"%d" % len(head), MATRIX)


def test_binary_data_without_the_header_or_beside_data_is_refused() -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(RequestError, match="needs the header Inference-Header-Content-Length"):
        bind(read_request(head), MATRIX)
    both = json.dumps({"inputs": [{**tensor, "data": [1, 2, 3, 4]}]}).encode()
    with pytest.raises(RequestError, match="both `data` and binary data"):
        read_mixed(both + GOOD, b"%d" % len(both), MATRIX)
    with pytest.raises(RequestError, match="1 bytes more than its tensors"):
        read_mixed(head + GOOD + b"\0", b"%d" % len(head), MATRIX)


@given(st.integers(0, 400))
def test_a_binary_request_cut_anywhere_is_refused(length: int) -> None:
    body, header = request(("x", "FP32", [2, 2], GOOD), ("y", "BYTES", [2], TEXT))
    assert bind(read_mixed(body, header, PAIR), PAIR).rows == 2
    if length < len(body):
        with pytest.raises(RequestError):
            bind(read_mixed(body[:length], header, PAIR), PAIR)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes_are_read_or_refused(body: bytes, length: int) -> None:
    for signature in (FREE, MATRIX, PAIR):
        with contextlib.suppress(RequestError):
            bind(read_mixed(body, b"%d" % length, signature), signature)


@pytest.mark.parametrize("name", ["classification", "shared_memory_region"])
def test_what_is_not_spoken_is_refused_and_not_ignored(name: str) -> None:
    body, header = request(("x", "FP32", [2, 2], GOOD), outputs=[{"name": "y", "parameters": {name: 1}}])
    with pytest.raises(RequestError, match=f"output 'y': the parameter `{name}` is not spoken here"):
        bind(read_mixed(body, header, MATRIX), MATRIX)
