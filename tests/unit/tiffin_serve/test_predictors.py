"""The user's own class: what it is given by its types, async and in parts, and its mistakes told with their line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiffin_serve.worker.frames import FrameReader, encode
from tiffin_serve.worker.loaders import load
from tiffin_serve.worker.tensors import decode
from unit.tiffin_serve.fronts import Serve
from unit.tiffin_serve.test_crew import Hall

HEAD = "from dataclasses import dataclass\nfrom typing import *\nimport numpy as np\n"
HOUSE = HEAD + "@dataclass\nclass House:\n    rooms: int\n    area: float\n    name: str\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Load a class of the user's from source text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(source: str) -> Any:
        (tmp_path / "own_code.py").write_text(source)
        return load("python", "", "own_code:Predictor")

    yield make
    sys.modules.pop("own_code", None)


def houses() -> dict[str, Any]:
    return {"rooms": np.array([1, 2]), "area": np.array([10.0, 20.0]), "name": np.array(["a", "b"], dtype=object)}


ROW_TYPES = {
    "dataclass": HOUSE,
    "named tuple": HEAD + "class House(NamedTuple):\n    rooms: int\n    area: float\n    name: str\n",
    "typed dict": HEAD
    + "class Named(TypedDict):\n    rooms: int\n    area: float\n    name: str\n"
    + "class House(Named):\n    pass\n",
}


@pytest.mark.parametrize("kind", ROW_TYPES)
def test_a_predict_whose_type_is_one_row_is_given_one_row_at_a_time(own: Any, kind: str) -> None:
    read = "house['area'] * house['rooms']" if kind == "typed dict" else "house.area * house.rooms"
    model = own(
        ROW_TYPES[kind] + f"class Predictor:\n    def predict(self, house: House) -> float:\n        return {read}\n"
    )
    assert [(spec["name"], spec["datatype"], spec["shape"]) for spec in model.signature["inputs"]] == [
        ("rooms", "INT64", [-1]),
        ("area", "FP64", [-1]),
        ("name", "BYTES", [-1]),
    ]
    assert model.signature["outputs"] == [{"name": "predict", "datatype": "FP64", "shape": [-1]}]
    assert model.signature["batches"]
    assert model.predict(houses(), (), {}) == {"predict": [10.0, 40.0]}


def test_annotations_that_are_text_are_read_as_well(own: Any) -> None:
    source = "from __future__ import annotations\n" + HOUSE
    model = own(source + "class Predictor:\n    def predict(self, house: House) -> str:\n        return house.name\n")
    assert model.predict(houses(), (), {}) == {"predict": ["a", "b"]}


def test_a_row_may_be_a_dict_of_plain_values_and_the_answer_have_fields(own: Any) -> None:
    source = HEAD + "@dataclass\nclass Answer:\n    total: float\n    good: bool\n"
    source += "class Predictor:\n    inputs = {'a': ('FP64', [-1]), 'b': ('FP64', [-1])}\n"
    source += (
        "    def predict(self, row: Dict[str, float]) -> Answer:\n        return Answer(sum(row.values()), True)\n"
    )
    model = own(source)
    assert [spec["name"] for spec in model.signature["outputs"]] == ["total", "good"]
    inputs = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    assert model.predict(inputs, ("total",), {}) == {"total": [4.0, 6.0]}


@pytest.mark.parametrize("annotation", ["", ": dict", ": Dict[str, np.ndarray]", ": 'Nowhere'", ": Mapping[str, Any]"])
def test_a_predict_with_another_type_is_given_arrays(own: Any, annotation: str) -> None:
    model = own(
        HEAD + f"class Predictor:\n    def predict(self, inputs{annotation}):\n        return inputs['x'] * 2\n"
    )
    np.testing.assert_array_equal(model.predict({"x": np.array([1, 2])}, (), {})["predict"], [2, 4])


def test_rows_of_an_async_predict_are_predicted_at_the_same_time(own: Any) -> None:
    source = (
        HOUSE + "import asyncio\nmet = []\nclass Predictor:\n    async def load(self, path):\n        self.all = 2\n"
    )
    source += "    async def predict(self, house: House) -> float:\n        met.append(house)\n"
    source += "        while len(met) < self.all:\n            await asyncio.sleep(0)\n        return house.area\n"
    assert own(source).predict(houses(), (), {}) == {"predict": [10.0, 20.0]}


def test_an_async_predict_of_arrays_is_waited_for(own: Any) -> None:
    model = own("class Predictor:\n    async def predict(self, inputs):\n        return inputs['x']\n")
    assert model.predict({"x": [1]}, (), {}) == {"predict": [1]}


YIELDS = """
closed = []
class Predictor:
    inputs = {"text": ("BYTES", [-1])}
    outputs = {"word": ("BYTES", [-1])}
    ASYNCdef predict(self, inputs):
        try:
            for word in inputs["text"][0].split():
                yield word
        finally:
            closed.append(True)
"""


@pytest.mark.parametrize("kind", ["", "async "], ids=["plain", "async"])
def test_what_predict_yields_is_streamed_or_put_together(own: Any, kind: str) -> None:
    model = own(YIELDS.replace("ASYNC", kind))
    assert (model.signature["streams"], model.signature["batches"]) == (True, False)
    inputs = {"text": np.array(["one two three"], dtype=object)}
    assert list(model.stream(inputs, (), {})) == [{"word": ["one"]}, {"word": ["two"]}, {"word": ["three"]}]
    assert model.predict(inputs, (), {}) == {"word": ["one", "two", "three"]}
    parts = model.stream(inputs, (), {})
    assert next(parts) == {"word": ["one"]}
    parts.close()
    assert sys.modules["own_code"].closed == [True] * 3


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Predictor:\n    pass", "own_code.py:1: Predictor has no method `predict`"),
        ("\nclass Predictor:\n    def predict(self): ...", "own_code.py:3: Predictor.predict takes no argument"),
        (
            HEAD + "@dataclass\nclass Row:\n    a: list\nclass Predictor:\n    def predict(self, row: Row): ...",
            "own_code.py:8: Predictor.predict: Row.a is list; a field of a row is bool, int, float, str or bytes",
        ),
        (
            HOUSE + "class Predictor:\n    inputs = {'x': ('FP32', [-1])}\n    def predict(self, house: House): ...",
            "own_code.py:9: Predictor has `inputs`, and `predict` takes a type that says them too",
        ),
        (
            "class Predictor:\n    inputs = {'x': 'FP32'}\n    def predict(self, inputs): ...",
            'own_code.py:1: Predictor: `inputs["x"]` is not like',
        ),
        (
            "class Predictor:\n    outputs = {'y': ('FLOAT', [-1])}\n    def predict(self, inputs): ...",
            'own_code.py:1: Predictor: `outputs["y"]` has the datatype FLOAT, not one of BOOL, UINT8',
        ),
        (
            "class Predictor:\n    inputs = {'x': ('FP32', [-1, 'n'])}\n    def predict(self, inputs): ...",
            "has a shape that is no list of sizes",
        ),
        ("class Predictor:\n    inputs = ['x']\n    def predict(self, inputs): ...", "`inputs` is a dict of name"),
    ],
    ids=["no predict", "no argument", "field", "twice", "no shape", "datatype", "shape", "no dict"],
)
def test_a_mistake_is_told_with_its_line_when_the_class_is_loaded(own: Any, source: str, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        own(source)
    assert said in str(caught.value)


def test_rows_whose_answers_differ_in_their_names_are_the_models_fault(own: Any) -> None:
    source = HOUSE + "class Predictor:\n    def predict(self, house: House):\n        return {house.name: 1}\n"
    with pytest.raises(TypeError, match="for one row and"):
        own(source).predict(houses(), (), {})


def test_a_predict_by_row_is_served_to_named_rows(serve: Serve, tmp_path: Path) -> None:
    source = HOUSE + "class Predictor:\n    def predict(self, house: House) -> float:\n        return house.area\n"
    (tmp_path / "own.py").write_text(source)
    server = serve({"format": "python", "predictor": "own:Predictor"}).ready()
    rows = [{"rooms": 1, "area": 2.5, "name": "a"}, {"rooms": 1, "area": 3.5, "name": "b"}]
    assert server.ask("POST", "/predict", rows) == (200, {"predictions": [2.5, 3.5]})


def test_a_worker_streams_when_asked_and_stops_when_nobody_wants_more(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(YIELDS.replace("ASYNC", "").replace(".split()", ".split() * 10 ** 5"))
    document = {"model": {"format": "python", "predictor": "own:Predictor"}, "code": str(tmp_path)}
    (tmp_path / "service.json").write_text(json.dumps(document))
    text = b"\x03\0\0\0one"
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "size": len(text)}
    batch = {"kind": "batch", "inputs": [tensor], "seconds": 60, "stream": True}
    with Hall(tmp_path) as hall:
        hello, reader, connection = hall.meet()
        assert hello["signature"]["streams"]
        for number in (1, 2):
            connection.sendall(encode({**batch, "id": number}, [text]))
            head, body = next_frame(reader)
            assert (head["kind"], head["id"]) == ("part", number)
            assert decode(head["outputs"], body, np)["word"].tolist() == ["one"]
            connection.sendall(encode({"kind": "cancel", "id": number}))
            while head["kind"] == "part":
                head, body = next_frame(reader)
            assert (head["kind"], head["outputs"]) == ("result", [])


def next_frame(reader: FrameReader) -> tuple[dict[str, Any], memoryview]:
    frame = reader.read()
    assert frame is not None
    return frame
