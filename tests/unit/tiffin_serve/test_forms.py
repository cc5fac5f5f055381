"""Rows as CSV and JSON lines, and the forms of TensorFlow Serving and MLflow: each good one beside its bad twins."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.protocol.call import Call
from tiffin_serve.protocol.datatypes import DATATYPES
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.invocations import bind_invocation, predictions, read_invocation
from tiffin_serve.protocol.outputs import Output
from tiffin_serve.protocol.rows import bind_rows
from tiffin_serve.protocol.signature import Signature, TensorSpec
from tiffin_serve.protocol.table import write_csv
from tiffin_serve.protocol.tensorflow import bind_predict, by_row, by_tensor, metadata, read_predict
from tiffin_serve.protocol.tensors import join_bytes, unpack
from tiffin_serve.protocol.text_rows import read_csv, read_lines

NAMED = Signature(inputs=(TensorSpec("input", "FP64", (-1, 2)),), columns=("a", "b"), batches=True)
UNNAMED = Signature(inputs=(TensorSpec("input", "FP32", (-1, 2)),), batches=True)
TABLE = Signature(
    inputs=(TensorSpec("n", "INT64", (-1, 1)), TensorSpec("t", "BYTES", (-1, 1)), TensorSpec("f", "BOOL", (-1,))),
    columns=("n", "t", "f"),
    batches=True,
)
PICTURES = Signature(inputs=(TensorSpec("p", "UINT8", (-1, 2, 2)), TensorSpec("s", "FP32", (-1,))), batches=True)
FREE = Signature()
SIGNATURES = [NAMED, UNNAMED, TABLE, PICTURES, FREE]


def values(call: Call) -> list[list[Any]]:
    tensors = zip(call.kind.tensors, call.data, strict=True)
    return [unpack(memoryview(data), DATATYPES[kind.datatype]) for kind, data in tensors]


def csv(text: str | bytes, signature: Signature, *, header: bool = False) -> list[list[Any]]:
    body = text if isinstance(text, bytes) else text.encode()
    return values(bind_rows(read_csv(body, signature, header=header), signature))


@pytest.mark.parametrize(
    ("signature", "text", "found"),
    [
        (NAMED, "a,b\n1,2\n3,4\n", [[1, 2, 3, 4]]),
        (NAMED, "b,a\r\n2,1\r\n4,3", [[1, 2, 3, 4]]),
        (NAMED, "1,2\n\n3,4\n", [[1, 2, 3, 4]]),
        (NAMED, "\ufeffa,b\n1e3,-.5\n", [[1000, -0.5]]),
        (NAMED, '"a","b"\n"1"," 2 "\n', [[1, 2]]),
        (UNNAMED, "1,2\n3,4\n", [[1, 2, 3, 4]]),
        (TABLE, "n,t,f\n7,x,true\n8.0,,0\n", [[7, 8], [b"x", b""], [True, False]]),
        (TABLE, 'f,t,n\nFALSE,"a,""b""\nc",-3\n', [[-3], [b'a,"b"\nc'], [False]]),
        (TABLE, "7,x,1\n", [[7], [b"x"], [True]]),
        (FREE, "u,v\n1,x\n2,y\n", [[1, 2], [b"x", b"y"]]),
        (FREE, "1,2\n3,4\n", [[1, 2, 3, 4]]),
    ],
)
def test_csv_is_read(signature: Signature, text: str, found: list[list[Any]]) -> None:
    assert csv(text, signature) == found


def test_an_empty_number_is_missing() -> None:
    assert np.isnan(csv("a,b\n1,\n", NAMED)[0][1])


def test_mlflow_has_names_in_the_first_line_always() -> None:
    assert csv("0,1\n3,4\n", UNNAMED, header=True) == [[3, 4]]


@pytest.mark.parametrize(
    ("signature", "text", "message"),
    [
        (NAMED, "", "there are no rows"),
        (NAMED, "\n\n", "there are no rows"),
        (NAMED, "a,b\n", "there are no rows"),
        (NAMED, "a,c\n1,2\n", "line 1: unknown column 'c'; the model takes 'a', 'b'"),
        (NAMED, "a\n1\n", "line 1: column 'b' is missing"),
        (NAMED, "a,a,b\n1,2,3\n", "line 1: column 'a' is there twice"),
        (NAMED, "a,b\n1,2\n3\n", "line 3: needs 2 values, not 1"),
        (NAMED, "a,b\n1,2,3\n", "line 2: needs 2 values, not 3"),
        (NAMED, "a,b\n1,x\n", "line 2, column 'b': 'x' is no number"),
        (NAMED, "a,b\n1,1_0\n", "line 2, column 'b': '1_0' is no number"),
        (NAMED, "1,2\n3,x\n", "line 2, column 'b': 'x' is no number"),
        (UNNAMED, "u,v\n1,2\n", "line 1, column 1: 'u' is no number"),
        (UNNAMED, "1,2\n1\n", "line 2: needs 2 values, not 1"),
        (UNNAMED, "1,1e39\n", "rows[0][1]: expected `float` <= 3.4028234663852886e+38"),
        (TABLE, "n,t,f\n7.5,x,true\n", "line 2, column 'n': '7.5' is no whole number"),
        (TABLE, "n,t,f\n,x,true\n", "line 2, column 'n': '' is no whole number"),
        (TABLE, "n,t,f\n99999999999999999999,x,true\n", "column 'n' of rows[0]: expected `int` <= "),
        (TABLE, "n,t,f\n7,x,yes\n", "line 2, column 'f': 'yes' is neither true nor false"),
        (PICTURES, "1,2\n", "send JSON"),
        (NAMED, b"a,b\n1,\xff\n", "not valid UTF-8 (byte 6)"),
        (NAMED, 'a,b\n1,"2', "line 2: not valid CSV"),
        (NAMED, 'a,b\n1,"2"x\n', "line 2: not valid CSV"),
    ],
)
def test_csv_that_cannot_be_read_is_refused_with_its_line(
    signature: Signature, text: str | bytes, message: str
) -> None:
    with pytest.raises(RequestError) as caught:
        csv(text, signature)
    assert message in caught.value.message


def test_csv_with_enormous_cells_is_refused_with_its_line() -> None:
    with pytest.raises(RequestError, match=r"line 2, column 'n': '9{60}'"):
        csv(f"n,t,f\n{'9' * 5000},x,true\n", TABLE)
    with pytest.raises(RequestError, match="line 2: not valid CSV: field larger than field limit"):
        csv("a,b\n1," + "2" * 200_000, NAMED)


def test_json_lines_are_rows() -> None:
    assert values(bind_rows(read_lines(b'{"a":1,"b":2}\r\n\n{"b":4,"a":3}'), NAMED)) == [[1, 2, 3, 4]]
    assert values(bind_rows(read_lines(b"[1,2]\n[3,4]\n"), NAMED)) == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "there are no rows"),
        (b"[1,2]\n[3,", "line 2: input data was truncated"),
        (b"[1,2]\n\nhello\n", "line 3: JSON is malformed"),
        (b"[1,2]\n\xff\n", "line 2"),
        (b"[1,2]\n" + b"[" * 100_000, "line 2: nested too deep"),
        (b"[1,2]\n[NaN,1]", "line 2: JSON is malformed"),
    ],
)
def test_json_lines_that_cannot_be_read_are_refused_with_their_line(body: bytes, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_lines(body)
    assert message in caught.value.message


def predict(document: Any, signature: Signature) -> list[list[Any]]:
    return values(bind_predict(read_predict(json.dumps(document).encode()), signature))


B64 = {"b64": base64.b64encode(b"\xff\0").decode()}


@pytest.mark.parametrize(
    ("signature", "document", "found"),
    [
        (NAMED, {"instances": [[1, 2], [3, 4]]}, [[1, 2, 3, 4]]),
        (NAMED, {"instances": [{"a": 1, "b": 2}]}, [[1, 2]]),
        (NAMED, {"instances": [{"input": [1, 2]}]}, [[1, 2]]),
        (NAMED, {"inputs": [[1, 2]], "signature_name": "serving_default"}, [[1, 2]]),
        (NAMED, {"inputs": {"input": [[1, 2]]}}, [[1, 2]]),
        (NAMED, {"inputs": {"b": [2, 4], "a": [1, 3]}}, [[1, 2, 3, 4]]),
        (TABLE, {"instances": [{"n": 1, "t": "x", "f": True}]}, [[1], [b"x"], [True]]),
        (TABLE, {"instances": [{"n": 1, "t": B64, "f": True}]}, [[1], [b"\xff\0"], [True]]),
        (TABLE, {"inputs": {"n": [[1]], "t": ["x"], "f": [True]}}, [[1], [b"x"], [True]]),
        (PICTURES, {"instances": [{"p": [[1, 2], [3, 4]], "s": 0.5}]}, [[1, 2, 3, 4], [0.5]]),
        (PICTURES, {"inputs": {"p": [[[1, 2], [3, 4]]], "s": [0.5]}}, [[1, 2, 3, 4], [0.5]]),
        (FREE, {"inputs": {"u": [1, 2], "v": [B64]}}, [[1, 2], [b"\xff\0"]]),
        (FREE, {"instances": [1.5]}, [[1.5]]),
    ],
)
def test_tensorflows_form_is_read(signature: Signature, document: Any, found: list[list[Any]]) -> None:
    assert predict(document, signature) == found


@pytest.mark.parametrize(
    ("signature", "document", "message"),
    [
        (NAMED, {}, "either `instances` or `inputs`"),
        (NAMED, {"instances": [[1, 2]], "inputs": [[1, 2]]}, "either `instances` or `inputs`"),
        (NAMED, [], "request: expected `object`, got `array`"),
        (NAMED, {"instances": []}, "instances: must be a list with at least one row"),
        (NAMED, {"instances": {"a": 1}}, "instances: must be a list with at least one row"),
        (NAMED, {"instances": [[1]]}, "instances[0]: needs 2 values, not 1"),
        (NAMED, {"instances": [[1, "x"]]}, "instances[0][1]: expected `float | null`, got `str`"),
        (NAMED, {"instances": [{"a": 1}]}, "instances[0]: column 'b' is missing"),
        (NAMED, {"instances": [{"a": 1, "b": 1}, 7]}, "instances[1]: must be an object"),
        (NAMED, {"inputs": {"a": [1], "b": [1, 2]}}, "inputs: the columns differ in length"),
        (NAMED, {"inputs": {"a": [1]}}, "inputs: input 'b' is missing"),
        (NAMED, {"inputs": {"input": [[1, 2]], "x": [1]}}, "inputs: unknown input 'x'"),
        (NAMED, {"inputs": {"input": []}}, "inputs"),
        (NAMED, {"inputs": {}}, "inputs: input 'a' is missing"),
        (FREE, {"inputs": {}}, "inputs: there are no tensors"),
        (NAMED, {"instances": [[1, 2]], "signature_name": "x"}, "request.signature_name: 'x' is not there"),
        (TABLE, {"instances": [{"n": 1, "t": {"b64": "?"}, "f": True}]}, "not valid base64"),
        (TABLE, {"instances": [{"n": 1, "t": {"b65": "?"}, "f": True}]}, "column 't' of instances[0]"),
        (PICTURES, {"instances": [[1]]}, "instances[0]: must be an object with 'p', 's'"),
        (PICTURES, {"inputs": [[1]]}, "inputs: must be an object with 'p', 's'"),
        (PICTURES, {"inputs": {"p": [[[1, 2], [3, 4]]], "s": [1, 2]}}, "differ in their number of rows"),
        (PICTURES, {"inputs": {"p": [], "s": []}}, "inputs"),
    ],
)
def test_tensorflows_form_is_refused_with_its_place(signature: Signature, document: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        predict(document, signature)
    assert message in caught.value.message


def output(name: str, datatype: str, array: Any) -> Output:
    data = join_bytes(array) if datatype == "BYTES" else np.asarray(array).tobytes()
    shape = (len(array),) if datatype == "BYTES" else np.asarray(array).shape
    return Output(name, datatype, shape, memoryview(data))


LABEL, SCORES = output("y", "BYTES", [b"n", b"\xff"]), output("p", "FP64", np.array([[0.25, 0.75], [1, 0]]))


def test_tensorflows_form_is_written() -> None:
    assert by_row([SCORES]) == {"predictions": [[0.25, 0.75], [1, 0]]}
    assert by_row([LABEL, SCORES]) == {
        "predictions": [{"y": {"b64": "bg=="}, "p": [0.25, 0.75]}, {"y": {"b64": "/w=="}, "p": [1, 0]}]
    }
    assert by_tensor([SCORES]) == {"outputs": [[0.25, 0.75], [1, 0]]}
    assert by_tensor([output("x_bytes", "BYTES", [b"a"]), SCORES])["outputs"]["x_bytes"] == [{"b64": "YQ=="}]
    assert by_tensor([output("y", "FP64", np.array(1.5))]) == {"outputs": 1.5}
    with pytest.raises(RequestError, match="no rows in common"):
        by_row([LABEL, output("z", "FP64", np.zeros(3))])


def test_every_datatype_has_tensorflows_name() -> None:
    signature = Signature(inputs=tuple(TensorSpec(name, name, (-1, 2)) for name in DATATYPES))
    document = metadata("m", "1", signature)["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert document["inputs"]["UINT8"]["dtype"] == "DT_UINT8"
    assert document["inputs"]["FP32"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}, {"size": "2", "name": ""}]


def invoke(document: Any, signature: Signature) -> list[list[Any]]:
    return values(bind_invocation(read_invocation(json.dumps(document).encode()), signature))


@pytest.mark.parametrize(
    ("signature", "document", "found"),
    [
        (NAMED, {"dataframe_split": {"columns": ["b", "a"], "index": [0], "data": [[2, 1]]}}, [[1, 2]]),
        (NAMED, {"dataframe_split": {"columns": [0, 1], "data": [[1, 2]]}}, [[1, 2]]),
        (NAMED, {"dataframe_split": {"data": [[1, 2]]}}, [[1, 2]]),
        (UNNAMED, {"dataframe_split": {"columns": ["x", "y"], "data": [[1, 2]]}}, [[1, 2]]),
        (FREE, {"dataframe_split": {"columns": ["x", "y"], "data": [[1, "z"]]}}, [[1], [b"z"]]),
        (NAMED, {"dataframe_records": [{"b": 2, "a": 1}]}, [[1, 2]]),
        (UNNAMED, {"dataframe_records": [{"x": 1, "y": 2}]}, [[1, 2]]),
        (NAMED, {"instances": [[1, 2]], "params": {"k": 1}}, [[1, 2]]),
        (NAMED, {"inputs": {"a": [1], "b": [2]}}, [[1, 2]]),
        (NAMED, {"inputs": [[1, 2]]}, [[1, 2]]),
    ],
)
def test_mlflows_forms_are_read(signature: Signature, document: Any, found: list[list[Any]]) -> None:
    assert invoke(document, signature) == found


def test_mlflows_params_go_to_the_model() -> None:
    body = json.dumps({"inputs": [[1, 2]], "params": {"k": 1}}).encode()
    assert bind_invocation(read_invocation(body), NAMED).kind.parameters == '{"k":1}'


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "exactly one of dataframe_split, dataframe_records, instances, inputs"),
        ({"inputs": [[1, 2]], "instances": [[1, 2]]}, "exactly one of"),
        ([], "request: expected `object`, got `array`; send one of"),
        ({"dataframe_split": {"columns": ["a", "b"]}}, "request.dataframe_split: object missing required field `data`"),
        ({"dataframe_split": {"columns": ["a", "b"], "data": []}}, "dataframe_split.data: there are no rows"),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}, "dataframe_split.data[0]: needs 2 values, not 1"),
        ({"dataframe_split": {"columns": ["a", "c"], "data": [[1, 2]]}}, "dataframe_split.data[0]: unknown column 'c'"),
        ({"dataframe_records": []}, "dataframe_records: there are no rows"),
        ({"dataframe_records": [{"a": 1}]}, "dataframe_records[0]: column 'b' is missing"),
        ({"dataframe_records": [[1, 2]]}, "request.dataframe_records[0]: expected `object`"),
        ({"inputs": [[1, 2]], "params": 7}, "request.params: expected `object | null`"),
    ],
)
def test_mlflows_forms_are_refused_with_their_place(document: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        invoke(document, NAMED)
    assert message in caught.value.message


def test_mlflows_predictions_are_those_of_predict() -> None:
    signature = Signature(probability="p")
    assert predictions([output("y", "INT64", np.array([1, 2])), SCORES], signature) == {"predictions": [1, 2]}
    assert predictions([SCORES], signature) == {"predictions": [[0.25, 0.75], [1, 0]]}
    both = [output("u", "INT64", np.array([1])), output("v", "INT64", np.array([2]))]
    assert predictions(both, Signature()) == {"predictions": [{"u": 1, "v": 2}]}
    uneven = [output("u", "INT64", np.array([1])), output("v", "INT64", np.array([2, 3]))]
    assert predictions(uneven, Signature()) == {"predictions": {"u": [1], "v": [2, 3]}}


def test_predictions_are_written_as_a_table() -> None:
    signature = Signature(probability="p", classes=("n", "y"))
    label = output("y", "BYTES", [b"n", b'a,"b"'])
    assert write_csv([label, SCORES], signature) == b'y,p_n,p_y\r\nn,0.25,0.75\r\n"a,""b""",1.0,0.0\r\n'
    with pytest.raises(RequestError, match="make no table") as caught:
        write_csv([output("x", "FP64", np.zeros((1, 1, 1)))], signature)
    assert caught.value.status == 406


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
keys = st.sampled_from(["a", "b", "n", "t", "f", "p", "s", "input", "b64", "data", "columns"])
anything = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
forms = st.sampled_from(["instances", "inputs", "dataframe_split", "dataframe_records", "params"])


@given(st.dictionaries(forms, anything, max_size=2), st.sampled_from(SIGNATURES))
def test_any_document_is_read_or_refused(document: Any, signature: Signature) -> None:
    for read in (predict, invoke):
        with contextlib.suppress(RequestError):
            read(document, signature)


@given(st.text(alphabet='ab,"\n\r1.-e tntf\0é', max_size=40) | st.binary(max_size=20), st.sampled_from(SIGNATURES))
def test_any_text_is_read_as_csv_or_refused(text: str | bytes, signature: Signature) -> None:
    for header_ in (True, False):
        with contextlib.suppress(RequestError):
            csv(text, signature, header=header_)
