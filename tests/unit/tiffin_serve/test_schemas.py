"""What the document says that other servers' clients may send is what is read, no more and no less."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tiffin_serve.protocol import foreign_schemas, schemas
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.invocations import bind_invocation, read_invocation
from tiffin_serve.protocol.rows import bind_rows
from tiffin_serve.protocol.schemas import Schema
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.tensorflow import bind_predict, read_predict
from unit.tiffin_serve.test_openapi import FREE, MATRIX, PICTURE, TABLE, TENSORS, TEXT, json

ROW_AB = {"a": 1, "b": 2.5}
PAIR = Signature(inputs=(TensorSpec("x", "FP64", (-1, 2)), TensorSpec("n", "INT64", (-1,))), batches=True)


def fits(schema: Schema, signature: Signature, document: Any) -> bool:
    components = {"schemas": {"Row": schemas.row(signature), "NamedRow": schemas.by_name(signature)}}
    return Draft202012Validator({**schema, "components": components}).is_valid(document)


def taken(read: Any, *args: Any) -> bool:
    try:
        read(*args)
    except RequestError:
        return False
    return True


INVOCATIONS: list[tuple[Signature, Any]] = [
    (MATRIX, {"dataframe_split": {"columns": ["b", "a"], "data": [[1, 2]]}}),
    (MATRIX, {"dataframe_split": {"columns": [0, 1], "data": [[1, 2]], "index": [0]}}),
    (MATRIX, {"dataframe_split": {"columns": None, "data": [[1, None]]}}),
    (MATRIX, {"dataframe_split": {"columns": [False, True], "data": [[1, 2]]}}),
    (MATRIX, {"dataframe_split": {"columns": [], "data": [[1, 2]]}}),
    (MATRIX, {"dataframe_split": {"columns": [0], "data": [[1, 2]]}}),
    (MATRIX, {"dataframe_split": {"columns": ["a", "c"], "data": [[1, 2]]}}),
    (MATRIX, {"dataframe_split": {"columns": ["a", "b"], "data": []}}),
    (MATRIX, {"dataframe_records": [ROW_AB, ROW_AB], "params": {"x": 1}}),
    (MATRIX, {"dataframe_records": [{"a": 1}]}),
    (MATRIX, {"instances": [[1, 2]], "inputs": None}),
    (MATRIX, {"instances": [{"input": [1, 2]}]}),
    (MATRIX, {"instances": [{"input": ROW_AB}]}),
    (MATRIX, {"instances": [[1, 2], ROW_AB]}),
    (MATRIX, {"instances": [[1, 2]], "inputs": [[1, 2]]}),
    (MATRIX, {"inputs": {"input": [[1, 2]]}}),
    (MATRIX, {"inputs": {"a": [1], "b": [[2]]}}),
    (MATRIX, {"inputs": {"a": [1]}}),
    (MATRIX, {"params": {}}),
    (TABLE, {"dataframe_split": {"columns": ["age", "name"], "data": [[1, "x"]]}}),
    (TABLE, {"dataframe_split": {"columns": [0, 1], "data": [[1, {"b64": "eA=="}]]}}),
    (TABLE, {"dataframe_split": {"columns": [0, 1], "data": [["x", 1]]}}),
    (TABLE, {"dataframe_records": [{"age": 1, "name": {"b64": "eA"}}]}),
    (TABLE, {"dataframe_records": [{"age": 1, "name": {"b64": "\u0420\u0420\u0420\u0420"}}]}),
    (TABLE, {"inputs": [[1, "x"]]}),
    (PICTURE, {"inputs": {"y": []}}),
    (PAIR, {"dataframe_split": {"columns": ["x", "n"], "data": [[[1, 2], 3]]}}),
    (PAIR, {"dataframe_split": {"data": [[[1, 2], 3]]}}),
    (PAIR, {"inputs": {"x": [[1, 2]], "n": [3]}}),
    (PAIR, {"inputs": [[1, 2]]}),
    (TENSORS, {"instances": [{"ids": [1, 2], "mask": [True]}]}),
    (FREE, {"dataframe_records": [{"x": 1}]}),
    (FREE, {"dataframe_records": [{}]}),
]


@pytest.mark.parametrize(("signature", "document"), INVOCATIONS, ids=map(str, range(len(INVOCATIONS))))
def test_an_invocation_is_taken_exactly_if_the_document_says_so(signature: Signature, document: Any) -> None:
    def read() -> None:
        bind_invocation(read_invocation(json.dumps(document).encode()), signature)

    assert fits(foreign_schemas.invocation(signature), signature, document) == taken(read)


PREDICTIONS: list[tuple[Signature, Any]] = [
    (MATRIX, {"instances": [[1, 2]], "signature_name": "predict", "parameters": None, "more": 1}),
    (MATRIX, {"instances": [[1, 2]], "signature_name": "x"}),
    (MATRIX, {"instances": [[1, 2]], "parameters": 1}),
    (MATRIX, {"instances": [], "inputs": None}),
    (MATRIX, {"instances": None, "inputs": None}),
    (MATRIX, {"inputs": [[1, None]]}),
    (TEXT, {"instances": ["x"]}),
    (TEXT, {"instances": [{"input": {"b64": "eA=="}}]}),
    (TENSORS, {"inputs": {"ids": [[1]], "mask": [[True]]}}),
    (TENSORS, {"inputs": {"ids": [[1]]}}),
    (FREE, {"inputs": {}}),
    (FREE, {"inputs": {"x": [1]}}),
]


@pytest.mark.parametrize(("signature", "document"), PREDICTIONS, ids=map(str, range(len(PREDICTIONS))))
def test_a_prediction_is_taken_exactly_if_the_document_says_so(signature: Signature, document: Any) -> None:
    def read() -> None:
        bind_predict(read_predict(json.dumps(document).encode()), signature)

    assert fits(foreign_schemas.predict(signature), signature, document) == taken(read)


ROWS: list[tuple[Signature, Any]] = [
    (MATRIX, [[1, 2], [3, 4]]),
    (MATRIX, [[1, 2], ROW_AB]),
    (PICTURE, [{"x": 1}]),
    (TEXT, ["x", "y"]),
    (TEXT, [{"b64": "eA=="}]),
    (TEXT, [{"input": {"b64": "eA=="}}]),
    (TEXT, [["x"], ["y"]]),
    (TEXT, [{"b64": "x"}]),
    (TEXT, [{"b64": "eA==", "c": 1}]),
    (PAIR, [{"x": [1, 2], "n": 3}]),
    (PAIR, [[[1, 2], 3]]),
]


@pytest.mark.parametrize(("signature", "rows"), ROWS, ids=map(str, range(len(ROWS))))
def test_rows_are_taken_exactly_if_the_document_says_so(signature: Signature, rows: list[Any]) -> None:
    assert fits(schemas.rows(signature), signature, rows) == taken(bind_rows, rows, signature)


def test_bytes_by_themselves_or_by_the_inputs_name_are_one_tensor() -> None:
    bare, named = (bind_predict(read_predict(json.dumps({"instances": rows}).encode()), TEXT) for rows in B64)
    assert bare == named == bind_rows(["x"], TEXT)


B64 = ([{"b64": "eA=="}], [{"input": {"b64": "eA=="}}])


def test_a_letter_beyond_ascii_is_no_base64() -> None:
    with pytest.raises(RequestError, match="not valid base64"):
        bind_rows([{"input": {"b64": "\u0420\u0420\u0420\u0420"}}], TEXT)


def test_no_tensor_is_given_twice() -> None:
    schema = schemas.infer(PAIR)
    x = {"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}
    n = {"name": "n", "datatype": "INT64", "shape": [1], "data": [1]}
    assert fits(schema, PAIR, {"inputs": [x, n]})
    assert fits(schema, PAIR, {"inputs": [n, x], "outputs": None, "parameters": None, "id": None})
    assert not fits(schema, PAIR, {"inputs": [x, x]})
    assert not fits(schema, PAIR, {"inputs": [{**x, "shape": [0, 2], "data": []}, n]})
