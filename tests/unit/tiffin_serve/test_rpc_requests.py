"""Messages that mean harm: whatever bytes come, the answer is a call or a sentence."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.front.rpc import inference_pb2 as messages
from tiffin_serve.front.rpc.requests import bind, parse
from tiffin_serve.front.rpc.tensors import CONTENTS
from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.datatypes import DATATYPES, Kind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.signature import Signature, TensorSpec

SPECS = st.builds(
    TensorSpec,
    st.sampled_from(["a", "b"]),
    st.sampled_from([name for name in DATATYPES if name != "BF16"]),
    st.sampled_from([(-1,), (-1, 1), (-1, 2), (2, 3)]),
)
SIGNATURES = st.lists(SPECS, max_size=2, unique_by=lambda spec: spec.name).map(
    lambda specs: Signature(inputs=tuple(specs), batches=bool(specs) and all(spec.shape[0] == -1 for spec in specs))
)
SHAPES = st.lists(st.one_of(st.integers(0, 3), st.sampled_from([-1, 2**40, 2**63 - 1])), max_size=3)
VALUES: dict[str, Any] = {
    "bool_contents": st.booleans(),
    "int_contents": st.integers(-(2**31), 2**31 - 1),
    "int64_contents": st.integers(-(2**63), 2**63 - 1),
    "uint_contents": st.integers(0, 2**32 - 1),
    "uint64_contents": st.integers(0, 2**64 - 1),
    "fp32_contents": st.floats(width=32),
    "fp64_contents": st.floats(),
    "bytes_contents": st.binary(max_size=5),
}


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    tensor = messages.ModelInferRequest.InferInputTensor(
        name=draw(st.sampled_from(["a", "b", "c"])),
        datatype=draw(st.sampled_from([*DATATYPES, "", "FLOAT"])),
        shape=draw(SHAPES),
    )
    field = CONTENTS.get(tensor.datatype, draw(st.sampled_from(sorted(VALUES))))
    for name in {field} if draw(st.booleans()) else draw(st.sets(st.sampled_from(sorted(VALUES)), max_size=2)):
        getattr(tensor.contents, name).extend(draw(st.lists(VALUES[name], max_size=6)))
    return tensor


REQUESTS = st.builds(
    lambda inputs, raw: messages.ModelInferRequest(inputs=inputs, raw_input_contents=raw),
    st.lists(tensors(), max_size=3),
    st.one_of(st.just([]), st.lists(st.binary(max_size=16), max_size=3)),
)


def judge(data: bytes, signature: Signature) -> Call | None:
    """Give the call, whose bytes must have the size that its shapes say, or nothing where a sentence refuses it."""
    try:
        call = bind(parse(messages.ModelInferRequest, data), signature)
    except RequestError as error:
        if error.status != 400 or not error.message:
            raise
        return None
    for kind, tensor in zip(call.kind.tensors, call.data, strict=True):
        datatype = DATATYPES[kind.datatype]
        shape = kind.tail if call.kind.alone else (call.rows, *kind.tail)
        count = 1
        for size in shape:
            count *= size
        if datatype.kind is not Kind.TEXT:
            assert len(tensor) == count * datatype.size
    return call


@given(REQUESTS, SIGNATURES)
def test_whatever_a_message_says_it_is_a_call_or_refused_with_a_sentence(request: Any, signature: Signature) -> None:
    judge(request.SerializeToString(), signature)


@given(REQUESTS, SIGNATURES, st.data())
def test_a_message_that_was_damaged_on_its_way_is_a_call_or_refused(
    request: Any, signature: Signature, data: st.DataObject
) -> None:
    text = bytearray(request.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        if text:
            text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    judge(bytes(text[: data.draw(st.integers(0, len(text)))]), signature)


@given(st.binary(max_size=64), SIGNATURES)
def test_noise_is_a_call_or_refused(noise: bytes, signature: Signature) -> None:
    judge(noise, signature)


@given(st.lists(st.floats(width=32), min_size=1, max_size=6))
def test_typed_and_raw_values_are_the_same_call(values: list[float]) -> None:
    signature = Signature(inputs=(TensorSpec("a", "FP64", (-1,)),), batches=True)
    both = [messages.ModelInferRequest(), messages.ModelInferRequest()]
    for request in both:
        request.inputs.add(name="a", datatype="FP32", shape=[len(values)])
    both[0].inputs[0].contents.fp32_contents.extend(values)
    both[1].raw_input_contents.append(struct.pack(f"<{len(values)}f", *values))
    typed, raw = [bind(request, signature) for request in both]
    assert typed == raw
    assert typed.rows == len(values)


@pytest.mark.parametrize(
    ("datatype", "first", "second", "woven"),
    [
        ("FP16", b"\0\1\2\3", b"\4\5\6\7", b"\0\1\4\5\2\3\6\7"),
        ("BOOL", b"\1\0", b"\0\0", b"\1\0\0\0"),
        ("BYTES", b"\1\0\0\0a\0\0\0\0", b"\0\0\0\0\1\0\0\0b", b"\1\0\0\0a\0\0\0\0\0\0\0\0\1\0\0\0b"),
    ],
)
def test_columns_of_any_datatype_are_woven(datatype: str, first: bytes, second: bytes, woven: bytes) -> None:
    signature = Signature(inputs=(TensorSpec("m", datatype, (-1, 2)),), columns=("a", "b"), batches=True)
    request = messages.ModelInferRequest(raw_input_contents=[second, first])
    for name in ("b", "a"):
        request.inputs.add(name=name, datatype=datatype, shape=[2])
    call = bind(request, signature)
    assert (call.rows, [bytes(data) for data in call.data]) == (2, [woven])
