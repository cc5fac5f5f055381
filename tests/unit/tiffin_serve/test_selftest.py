"""Checks are answered and compared before a server is ready, through the code that answers clients."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import joblib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.front.workers.answers import explain_difference
from tiffin_serve.front.workers.trial import zeros
from tiffin_serve.protocol.signature import Signature, TensorSpec
from unit.tiffin_serve.fronts import DEADLINE, ROWS, Serve, train, wait_for

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_what_is_expected_is_no_different(value: Any) -> None:
    assert explain_difference(value, value, 0.0) == ""


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.05], "more": 1}, ""),
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.5]}, "expected 2.0 but got 2.5 at a[1], 0.5 off"),
        ({"a": [1.0, 2.0]}, {"a": [9.0, 2.5]}, "expected 1.0 but got 9.0 at a[0], 8 off; 2 places differ"),
        ({"a": ["x"]}, {"a": ["y"]}, 'expected "x" but got "y" at a[0]'),
        ({"a": [1]}, {"a": [1, 2]}, "expected a list of 1 but got a list of 2 at a"),
        ({"a": 1}, {}, "expected 1 but got null at a"),
        ({"a": True}, {"a": 1}, "expected true but got 1 at a"),
        ({"a": math.inf}, {"a": math.inf}, ""),
        ({"id": "x", "model_version": "1", "outputs": []}, {"outputs": []}, ""),
        ([1], {"a": 1}, 'expected a list of 1 but got {"a":1} at the top'),
    ],
)
def test_the_largest_difference_is_told_with_its_place(expected: Any, got: Any, said: str) -> None:
    assert explain_difference(expected, got, 0.1) == said


def test_a_row_of_zeros_is_made_of_what_a_model_says_it_takes() -> None:
    inputs = (TensorSpec("a", "FP32", (-1, 3)), TensorSpec("b", "BYTES", (-1, 2)))
    (question,) = zeros(Signature(inputs=inputs, batches=True))
    assert (question.call.rows, question.call.data) == (1, (bytes(12), bytes(8)))
    assert zeros(Signature()) == []
    assert zeros(Signature(platform="python_predictor", inputs=inputs)) == []


def served(serve: Serve, folder: Path, request: Any, expect: Any = None, **more: Any) -> Any:
    joblib.dump(train(), folder / "model.joblib")
    (folder / "q.json").write_text(json.dumps(request))
    check = {"request": str(folder / "q.json"), **more}
    if expect is not None:
        (folder / "a.json").write_text(json.dumps(expect))
        check["expect"] = str(folder / "a.json")
    return serve({"format": "sklearn-joblib", "path": str(folder / "model.joblib")}, checks=[check])


def test_a_server_that_answers_its_checks_is_ready(serve: Serve, tmp_path: Path) -> None:
    server = served(serve, tmp_path, ROWS, {"predictions": ["setosa", "virginica", "versicolor"]}).ready()
    assert server.metrics()['tiffin_predicted_rows_total{model="iris"}'] == 0  # no client asked


def test_tensors_are_checked_as_well(serve: Serve, tmp_path: Path) -> None:
    tensor = {"name": "input", "datatype": "FP64", "shape": [1, 4], "data": ROWS[0]}
    request = {"id": "7", "inputs": [tensor], "outputs": [{"name": "predict"}]}
    output = {"name": "predict", "datatype": "BYTES", "shape": [1], "data": ["setosa"]}
    expect = {"model_name": "x", "model_version": "9", "id": "7", "outputs": [output]}
    served(serve, tmp_path, request, expect).ready()


@pytest.mark.parametrize(
    ("request_document", "expect", "said"),
    [
        (ROWS, {"predictions": ["setosa"] * 3}, 'expected "setosa" but got "virginica" at predictions[1]'),
        ([[1, 2]], None, "q.json cannot be asked: rows[0]: needs 4 values, not 2"),
    ],
)
def test_a_server_that_answers_a_check_wrongly_is_never_ready(
    serve: Serve, tmp_path: Path, request_document: Any, expect: Any, said: str
) -> None:
    server = served(serve, tmp_path, request_document, expect)
    assert server.process.wait(DEADLINE) == 3
    assert "tiffin: the model failed its self-test: the check " in server.log
    assert said in server.log
    assert "is ready" not in server.log


def test_a_check_whose_file_is_absent_is_told(serve: Serve, tmp_path: Path) -> None:
    joblib.dump(train(), tmp_path / "model.joblib")
    model = {"format": "sklearn-joblib", "path": str(tmp_path / "model.joblib")}
    server = serve(model, checks=[{"request": "/nothing/there.json"}])
    assert server.process.wait(DEADLINE) == 3
    assert "the check /nothing/there.json cannot be read: [Errno 2]" in server.log


PICKY = """
class Picky:
    n_features_in_ = 1
    def predict(self, rows):
        if not rows.any():
            raise ValueError("no zeros")
        return rows[:, 0]
"""


def test_a_model_that_refuses_to_be_warmed_up_serves_all_the_same(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "picky.py").write_text(PICKY)
    (tmp_path / "model.pkl").write_bytes(b"cpicky\nPicky\n)R.")
    server = serve({"format": "sklearn-pickle", "path": str(tmp_path / "model.pkl")}).ready()
    wait_for(lambda: "a new worker was to be warmed up, but a row of zeros was not answered" in server.log, "told")
    assert server.ask("POST", "/predict", [[1.0]]) == (200, {"predictions": [1.0]})
