"""A form of request that was seen before is read the same as one that was not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.forms import MOST, Forms
from tiffin_serve.protocol.infer import bind, read_request
from tiffin_serve.protocol.rows import MatrixReader, bind_rows, read_rows
from tiffin_serve.protocol.signature import Signature, TensorSpec

MATRIX = Signature(inputs=(TensorSpec("input", "FP64", (-1, 2)),), columns=("a", "b"), batches=True)
TABLE = Signature(
    inputs=(TensorSpec("a", "INT64", (-1, 1)), TensorSpec("b", "BYTES", (-1,)), TensorSpec("c", "FP16", (-1,))),
    batches=True,
)
FREE = Signature(batches=True)

values = st.sampled_from([0, 1, 2.5, -1, 2**60, 10**400, 1e5, "x", "\ud800", True, None, [], {}])
flat = st.lists(values, max_size=4)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["input", "a", "b", "c"]),
        "datatype": st.sampled_from(["FP64", "FP32", "INT64", "UINT8", "BYTES", "BOOL", "BF16", "FP16", "NO"]),
        "shape": st.lists(st.integers(0, 2), max_size=3),
    },
    optional={
        "data": flat | st.lists(flat, max_size=3) | st.just(1),
        "parameters": st.sampled_from([{}, {"content_type": "base64"}, {"binary_data_size": 8}]),
    },
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, min_size=1, max_size=3)},
    optional={
        "outputs": st.sampled_from([[], [{"name": "y"}]]),
        "parameters": st.sampled_from([{}, {"temperature": 1}, {"timeout": 5}]),
        "id": st.just("1"),
    },
)


def told(read: Any, document: dict[str, Any]) -> Call | str:
    try:
        call: Call = read(read_request(msgspec.json.encode(document).replace(b"[", b"[ ")))
    except RequestError as error:
        return f"{error.status} {error.message}"
    return call


def encodable(document: dict[str, Any]) -> bool:
    try:
        msgspec.json.encode(document)
    except (UnicodeError, OverflowError):
        return False
    return True


@pytest.mark.parametrize("signature", [MATRIX, TABLE, FREE])
@given(documents=st.lists(requests.filter(encodable), min_size=1, max_size=6))
def test_a_known_form_is_read_as_an_unknown_one(signature: Signature, documents: list[dict[str, Any]]) -> None:
    forms = Forms(signature)
    for document in documents * 2:
        assert told(forms.bind, document) == told(lambda request: bind(request, signature), document)


@given(
    shape=st.sampled_from([[1, 2], [2, 2], [2], [0, 2]]),
    rows=st.lists(st.one_of(flat, st.lists(flat, max_size=2)), min_size=2, max_size=8),
)
def test_values_that_do_not_fit_a_known_form_are_refused_as_ever(shape: list[int], rows: list[Any]) -> None:
    forms = Forms(MATRIX)
    for data in [[1.0, 2.0], [[1.0, 2.0]], [1.0, 2.0, 3.0, 4.0], *rows]:
        document = {"inputs": [{"name": "input", "datatype": "FP64", "shape": shape, "data": data}]}
        if encodable(document):
            assert told(forms.bind, document) == told(lambda request: bind(request, MATRIX), document)


def test_columns_in_any_order_are_put_into_the_models() -> None:
    forms = Forms(TABLE)
    columns = [
        {"name": "a", "datatype": "INT64", "shape": [1], "data": [1]},
        {"name": "b", "datatype": "BYTES", "shape": [1], "data": ["x"]},
        {"name": "c", "datatype": "FP16", "shape": [1], "data": [2.5]},
    ]
    calls = [told(forms.bind, {"inputs": order}) for order in (columns, columns[::-1], columns, columns[::-1])]
    assert calls == calls[:1] * 4


def test_no_number_of_forms_is_too_much() -> None:
    forms = Forms(MATRIX)
    for rows in range(1, 2 * MOST):
        data = [0.5] * (2 * rows)
        document = {"inputs": [{"name": "input", "datatype": "FP64", "shape": [rows, 2], "data": data}]}
        for _ in range(2):
            call = told(forms.bind, document)
            assert isinstance(call, Call)
            assert call.rows == rows
        assert len(forms) <= MOST


def test_forms_of_a_model_that_takes_anything_are_not_kept() -> None:
    forms = Forms(FREE)
    document = {"inputs": [{"name": "input", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}]}
    assert isinstance(told(forms.bind, document), Call)
    assert not len(forms)


MATRICES = [
    Signature(inputs=(TensorSpec("x", datatype, shape),), columns=columns, batches=batches)
    for datatype in ("FP64", "FP32", "FP16", "BF16", "INT64", "UINT64", "INT8", "BOOL", "BYTES")
    for shape, columns, batches in [((-1, 2), ("a", "b"), True), ((-1, -1), (), True), ((-1, 1), (), True)]
]
MATRICES += [FREE, TABLE, Signature(inputs=MATRIX.inputs), Signature(inputs=(TensorSpec("x", "FP64", (2, 2)),))]

numbers = ["0", "-0", "0.5", "1", "-1", "1e400", "1e300", "70000", "9007199254740993", "1" + "0" * 40, "NaN"]
cells = st.sampled_from([*numbers, "null", "true", '"x"', '{"b64":"eA=="}', "[]", "[1,2]", '{"a":1,"b":2}'])
lists = st.lists(cells | st.sampled_from(["0.5", "1"]), max_size=3).map(lambda row: f"[{','.join(row)}]")
bodies = st.lists(lists | cells, max_size=3).map(lambda rows: f"[{','.join(rows)}]")


@pytest.mark.parametrize("signature", MATRICES)
@given(body=bodies | bodies.map(lambda rows: f'{{"rows":{rows}}}') | bodies.map(lambda rows: rows[:-1]))
def test_rows_that_are_a_matrix_are_read_as_any_rows(signature: Signature, body: str) -> None:
    def answer(read: Callable[[bytes], Call]) -> Call | str:
        try:
            return read(body.encode())
        except RequestError as error:
            return f"{error.status} {error.message}"

    assert answer(MatrixReader(signature).bind) == answer(lambda data: bind_rows(read_rows(data), signature))
