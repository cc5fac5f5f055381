"""Reading requests without a server: whatever comes, it is read or refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import bind, read_request
from tiffin_serve.protocol.outputs import InferOutput
from tiffin_serve.protocol.rows import bind_rows, plain, read_rows
from tiffin_serve.protocol.signature import Signature, TensorSpec

MATRIX = Signature(inputs=(TensorSpec("input", "FP64", (-1, 2)),), columns=("a", "b"), batches=True)
TABLE = Signature(
    inputs=(TensorSpec("a", "BYTES", (-1, 1)), TensorSpec("b", "FP64", (-1, 1))), columns=("a", "b"), batches=True
)
IMAGES = Signature(inputs=(TensorSpec("pixels", "UINT8", (-1, 2, 2)), TensorSpec("scale", "FP32", (-1,))), batches=True)
FREE = Signature()
SIGNATURES = [MATRIX, TABLE, IMAGES, FREE]

numbers = st.integers(-3, 3) | st.floats() | st.integers()
leaves = st.none() | st.booleans() | numbers | st.text(max_size=3)
names = st.sampled_from(["a", "b", "input", "pixels", "scale", "x"])
anything = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=3))
inputs = st.fixed_dictionaries(
    {
        "name": names,
        "shape": st.lists(st.integers(0, 3), max_size=3),
        "datatype": st.sampled_from(["FP64", "FP32", "UINT8", "INT64", "BYTES", "BOOL", "FP16"]),
        "data": st.lists(numbers, max_size=6) | st.lists(st.lists(leaves, max_size=3), max_size=3) | anything,
    }
)


@given(st.fixed_dictionaries({"inputs": st.lists(inputs, max_size=3)}) | anything, st.sampled_from(SIGNATURES))
@example({"inputs": [{"name": "a", "shape": [1], "datatype": "BYTES", "data": ["\ud800"]}]}, FREE)
@example({"inputs": [{"name": "a", "shape": [], "datatype": "FP64", "data": [1]}]}, FREE)
def test_an_inference_request_is_read_or_refused(document: Any, signature: Signature) -> None:
    with contextlib.suppress(RequestError):
        call = bind(read_request(json.dumps(document).encode()), signature)
        assert len(call.data) == len(call.kind.tensors)


@given(st.lists(st.lists(leaves, max_size=3) | st.dictionaries(names, leaves)) | anything, st.sampled_from(SIGNATURES))
@example([{}], FREE)
@example([[[]]], FREE)
@example([["\ud800"]], FREE)
@example([[[[[[[1]]]]]]] * 3, FREE)
def test_rows_are_read_or_refused(document: Any, signature: Signature) -> None:
    with contextlib.suppress(RequestError):
        call = bind_rows(read_rows(json.dumps(document).encode()), signature)
        assert len(call.data) == len(call.kind.tensors)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_rows_that_are_nested_too_deep_are_refused(signature: Signature) -> None:
    rows = read_rows(b"[" * 500 + b"]" * 500)
    with pytest.raises(RequestError):
        bind_rows(rows, signature)


def test_a_request_cut_at_any_byte_is_refused() -> None:
    whole = b'{"id":"x","inputs":[{"name":"input","shape":[1,2],"datatype":"FP64","data":[1.5,2]}]}'
    assert bind(read_request(whole), MATRIX).rows == 1
    for length in range(len(whole)):
        with pytest.raises(RequestError):
            read_request(whole[:length])


def test_rows_of_images_come_by_name() -> None:
    call = bind_rows([{"pixels": [[1, 2], [3, 4]], "scale": 0.5}] * 3, IMAGES)
    assert (call.rows, call.kind.alone) == (3, False)
    assert call.data[0] == bytes([1, 2, 3, 4]) * 3
    with pytest.raises(RequestError, match="must be an object with 'pixels', 'scale'"):
        bind_rows([7], IMAGES)


def test_columns_are_woven_into_the_matrix() -> None:
    tensors = [
        {"name": name, "shape": [2], "datatype": "INT32", "data": data} for name, data in (("b", [3, 4]), ("a", [1, 2]))
    ]
    woven = bind(read_request(json.dumps({"inputs": tensors}).encode()), MATRIX)
    assert woven == bind_rows([[1, 3], [2, 4]], MATRIX)
    tensors[0]["shape"], tensors[0]["data"] = [1], [3]
    with pytest.raises(RequestError, match="input 'b' has 1 rows, 'a' has 2"):
        bind(read_request(json.dumps({"inputs": tensors}).encode()), MATRIX)


def test_parameters_of_the_protocol_do_not_part_requests() -> None:
    def kind(parameters: dict[str, Any]) -> Any:
        tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}
        return bind(read_request(json.dumps({"inputs": [tensor], "parameters": parameters}).encode()), MATRIX).kind

    assert kind({"binary_data_output": True}) == kind({})
    assert kind({"a": 1, "b": 2}) == kind({"b": 2, "a": 1}) != kind({"a": 1})


def test_plain_answers_show_labels_probabilities_and_the_rest() -> None:
    signature = Signature(classes=("n", "y"), probability="p")
    outputs = [InferOutput("y", "INT64", (2, 1), [0, 1]), InferOutput("p", "FP64", (2, 2), [0.9, 0.1, 0.2, 0.8])]
    assert plain([*outputs, InferOutput("z", "FP64", (), [7.0])], signature) == {
        "predictions": [0, 1],
        "probabilities": [[0.9, 0.1], [0.2, 0.8]],
        "classes": ("n", "y"),
        "outputs": {"z": [7.0]},
    }
