"""The document of a model: every path, valid by the specification, with examples that the server takes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.rest.openapi import OPERATIONS, Described, document, is_told, template
from tiffin_serve.front.rest.pages.serving import Pages
from tiffin_serve.front.rest.routes import make_routes
from tiffin_serve.front.rest.served import Served
from tiffin_serve.front.workers.lines import Workers
from tiffin_serve.protocol.baseline import Baseline, Feature
from tiffin_serve.protocol.examples import as_infer, as_rows, from_check, from_signature, known_values
from tiffin_serve.protocol.infer import bind, read_request
from tiffin_serve.protocol.outputs import InferOutput
from tiffin_serve.protocol.rows import bind_rows
from tiffin_serve.protocol.service import Check, ServedModel, Service
from tiffin_serve.protocol.signature import Signature, TensorSpec
from unit.tiffin_serve.fronts import COLUMNS, DEADLINE, ROWS, Server

MATRIX = Signature(
    inputs=(TensorSpec("input", "FP64", (-1, 2)),),
    outputs=(TensorSpec("predict", "BYTES", (-1,)),),
    columns=("a", "b"),
    batches=True,
)
TABLE = Signature(
    inputs=(TensorSpec("age", "INT64", (-1, 1)), TensorSpec("name", "BYTES", (-1, 1))), outputs=(), batches=True
)
PICTURE = Signature(inputs=(TensorSpec("x", "FP32", (-1, 3, 224, 224)),), batches=True)
TENSORS = Signature(inputs=(TensorSpec("ids", "INT64", (-1, -1)), TensorSpec("mask", "BOOL", (-1, -1))), batches=True)
FREE = Signature()
COLUMN = Signature(inputs=(TensorSpec("input", "FP64", (-1, 1)),), columns=("a",), batches=True)
TEXT = Signature(inputs=(TensorSpec("input", "BYTES", (-1,)),), batches=True)
SIGNATURES = {
    "column": COLUMN,
    "text": TEXT,
    "matrix": MATRIX,
    "table": TABLE,
    "picture": PICTURE,
    "tensors": TENSORS,
    "free": FREE,
}


def routes_of(name: str) -> list[tuple[str, str]]:
    service = Service(name=name, version="3", model=ServedModel(format="x"), worker=["x"])
    served = Served(service, cast("Workers", None), cast("Metrics", None))
    return [(method.decode(), path.decode()) for path, methods in make_routes(served).items() for method in methods]


def described(signature: Signature, *, name: str = "m", token: bool = False) -> Described:
    return Described(name, "3", "0", signature, from_signature(signature, {}), token)


@pytest.mark.parametrize("form", SIGNATURES)
def test_the_document_is_valid_by_the_specification(form: str) -> None:
    validate(document(described(SIGNATURES[form], token=form == "table"), routes_of("m")))


@pytest.mark.parametrize("name", ["m", "v2", "models", "ready", "versions", "3"])
def test_every_path_of_the_server_is_described_and_no_other(name: str) -> None:
    model = described(MATRIX, name=name)
    routes = [route for route in routes_of(name) if is_told(*route)]
    paths = document(model, [*routes_of(name), ("OPTIONS", "*")])["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == set(routes)
    for method, path in routes:
        assert (method, template(path, model)) in OPERATIONS, f"openapi.py says nothing of {method} {path}"
    ids = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)


def test_schemas_have_the_names_types_and_shapes_of_the_model() -> None:
    schemas = document(described(TABLE), routes_of("m"))["components"]["schemas"]
    rows = Draft202012Validator({"$ref": "#/components/schemas/Rows", "components": {"schemas": schemas}})
    for good in ([{"age": 3, "name": "x"}], [[3, "x"], [4, "y"]], {"rows": [[3, {"b64": "eA=="}]]}):
        assert rows.is_valid(good), good
    for bad in ([], [{"age": 3}], [{"age": "3", "name": "x"}], [[3]], [[3, "x", 1]], {"rows": [[3, "x"]], "more": 1}):
        assert not rows.is_valid(bad), bad
    tensors = document(described(PICTURE), routes_of("m"))["components"]["schemas"]["InferRequest"]
    infer = Draft202012Validator(tensors)
    whole = {"name": "x", "datatype": "FP32", "shape": [1, 3, 224, 224], "data": [0.5]}
    assert infer.is_valid({"inputs": [whole]})
    for change in ({"name": "y"}, {"datatype": "FP64"}, {"shape": [1, 3, 224, 223]}, {"shape": [1]}, {"data": ["a"]}):
        assert not infer.is_valid({"inputs": [{**whole, **change}]}), change
    assert not infer.is_valid({"inputs": []})


def test_examples_fit_the_schemas_beside_them() -> None:
    for signature in SIGNATURES.values():
        whole = document(described(signature), routes_of("m"))
        for _, path, kind, content in bodies(whole):
            schema = {**content["schema"], "components": whole["components"]}
            for example in content.get("examples", {}).values():
                assert Draft202012Validator(schema).is_valid(example["value"]), (path, kind)


@pytest.mark.parametrize("form", sorted(SIGNATURES.keys() - {"free"}))
def test_examples_are_what_the_model_takes(form: str) -> None:
    signature = SIGNATURES[form]
    made = from_signature(signature, {})
    rows = as_rows(made, signature)
    assert rows is not None
    assert bind_rows(rows, signature) == bind(read_request(json.dumps(as_infer(made)).encode()), signature)


def bodies(whole: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            for kind, content in operation.get("requestBody", {"content": {}})["content"].items():
                yield method, path, kind, content


def send_every_example(server: Server) -> int:
    status, whole = server.ask("GET", "/openapi.json")
    assert status == 200
    validate(whole)
    sent = 0
    for method, path, kind, content in bodies(whole):
        for example in content.get("examples", {}).values():
            value = example["value"]
            body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
            connection.request(method.upper(), path, body, {"content-type": kind})
            response = connection.getresponse()
            assert response.status == 200, (path, kind, value, response.read())
            connection.close()
            sent += 1
    return sent


def test_every_example_is_answered(iris: Server) -> None:
    assert send_every_example(iris) >= 10


def test_the_examples_of_tensors_tables_and_texts_are_answered(predictor: Callable[..., Server]) -> None:
    source = """
        class Predictor:
            inputs = {"ids": ("INT64", [-1, -1]), "on": ("BOOL", [-1]), "text": ("BYTES", [-1]), "half": ("FP16", [-1])}
            outputs = {"y": ("INT64", [-1])}
            def predict(self, inputs):
                return inputs["ids"].sum(axis=1)
    """
    assert send_every_example(predictor(_unindented(source)).ready()) >= 5


def test_answers_are_as_the_document_says(iris: Server) -> None:
    whole = iris.ask("GET", "/openapi.json")[1]
    checked = 0
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            described_as = operation["responses"].get("200", {"content": {}})["content"].get("application/json")
            examples = operation.get("requestBody", {"content": {}})["content"].get("application/json", {})
            requests = [one["value"] for one in examples.get("examples", {}).values()] if method == "post" else [None]
            for request in requests if described_as else []:
                schema = {**described_as["schema"], "components": whole["components"]}
                answer = iris.ask(method.upper(), path, request)[1]
                assert list(Draft202012Validator(schema).iter_errors(answer)) == [], (path, answer)
                checked += 1
    assert checked > 20


def _unindented(source: str) -> str:
    return "\n".join(line[8:] for line in source.splitlines())


def test_the_first_check_is_the_example(predictor: Callable[..., Server], tmp_path: Path) -> None:
    source = """
        class Predictor:
            inputs = {"age": ("INT64", [-1]), "name": ("BYTES", [-1])}
            outputs = {"y": ("INT64", [-1])}
            def predict(self, inputs):
                return inputs["age"]
    """
    (tmp_path / "check.json").write_text('[{"age": 42, "name": "Ada, \\"Countess\\""}]')
    server = predictor(_unindented(source), checks=[{"request": str(tmp_path / "check.json")}]).ready()
    facts = server.ask("GET", "/openapi.json")[1]["info"]["x-model"]
    assert facts["rows"] == [{"age": 42, "name": 'Ada, "Countess"'}]
    assert send_every_example(server) >= 5


def test_a_check_that_is_no_request_leaves_the_made_up_example(tmp_path: Path) -> None:
    (tmp_path / "check.json").write_text('[{"c": 42}]')
    for path in ("check.json", "absent.json"):
        checks = [Check(request=str(tmp_path / path))]
        service = Service(name="m", model=ServedModel(format="x"), worker=["x"], checks=checks)
        served = Served(service, cast("Workers", None), cast("Metrics", None))
        assert Pages(served)._example(MATRIX) == from_signature(MATRIX, {})


def test_a_check_in_either_form_gives_the_same_example() -> None:
    rows = from_check(b'[{"b": 2.5, "a": 1}]', MATRIX)
    tensor = {"name": "input", "datatype": "FP64", "shape": [1, 2], "data": [1, 2.5]}
    infer = from_check(json.dumps({"inputs": [tensor]}).encode(), MATRIX)
    assert rows == infer == [InferOutput("input", "FP64", (1, 2), [1.0, 2.5])]
    assert as_rows(rows, MATRIX) == [{"a": 1.0, "b": 2.5}]
    assert as_infer(rows) == {"inputs": [{**tensor, "data": [1.0, 2.5]}]}


def test_training_data_says_what_is_usual(iris: Server) -> None:
    feature = Feature(name="a", kind="number", missing=0, shares=(1.0,), mean=5.84333)
    text = Feature(name="name", kind="text", missing=0, shares=(0.5, 0.5), categories=("x",))
    known = known_values(Baseline(rows=10, features=[feature, text]))
    assert as_rows(from_signature(MATRIX, known), MATRIX) == [{"a": 5.843, "b": 1.0}]
    assert as_rows(from_signature(TABLE, known), TABLE) == [{"age": 1, "name": "x"}]
    assert iris.ask("GET", "/openapi.json")[1]["info"]["x-model"]["rows"] == [dict.fromkeys(COLUMNS, 1.0)]
    assert len(ROWS[0]) == len(COLUMNS)


def test_a_picture_is_not_written_out() -> None:
    whole = document(described(PICTURE), routes_of("m"))
    assert not [content for *_, content in bodies(whole) if "examples" in content]
    assert whole["info"]["x-model"]["rows"] is None


def test_a_document_of_a_server_with_tokens_says_so_but_for_health() -> None:
    whole = document(described(MATRIX, token=True), routes_of("m"))
    assert whole["security"] == [{"token": []}]
    assert whole["paths"]["/v2/health/live"]["get"]["security"] == []
    assert "security" not in whole["paths"]["/predict"]["post"]
