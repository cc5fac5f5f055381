"""What a step is told: command lines out of words, and the order of a function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiffin.errors import UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.pipeline.benches.orders import Places, argv_of, order_document
from tiffin.pipeline.graph import (
    Command,
    Executor,
    Function,
    IfGiven,
    InputPath,
    Joined,
    OutputPath,
    Place,
    Port,
    Step,
    Value,
    Word,
)
from tiffin.pipeline.workbench import Input, Order

PLACES = Places(inputs="/in", outputs="/out")
STEP = Step(
    name="fit",
    does=Command(argv=("fit",)),
    inputs={
        "rows": Port(type="Dataset"),
        "parts": Port(type="Dataset", many=True),
        "depth": Port(type="int", default=4),
        "note": Port(type="str", optional=True),
    },
    outputs={"model": Port(type="Model"), "score": Port(type="float")},
    place=Place(file="pipeline.py", line=7),
)


def artifact(name: str, uri: str = "") -> Input:
    return Input(
        digest=Digest.of(b""), path=Path("/host") / name, name=name, type="Dataset", uri=uri, metadata={"a": 1}
    )


def order(**changed: Any) -> Order:
    settings = {
        "values": {"depth": 5},
        "inputs": {"rows": (artifact("rows.csv", "oci://x"),), "parts": (artifact("a"), artifact("b"))},
    } | changed
    return Order(run="r", task="fit", attempt=1, step=STEP, folder=Path("/host/out"), **settings)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (Value(input="depth"), ["5"]),
        (Value(input="note"), [""]),
        (InputPath(input="rows"), ["/in/rows/rows.csv"]),
        (InputPath(input="rows", uri=True), ["oci://x"]),
        (InputPath(input="parts"), ["/in/parts"]),
        (OutputPath(output="model"), ["/out/artifacts/model"]),
        (OutputPath(output="score"), ["/out/parameters/score"]),
        (Joined(words=("--depth=", Value(input="depth"), "!")), ["--depth=5!"]),
        (IfGiven(input="note", then=("--note", Value(input="note"))), []),
        (IfGiven(input="depth", then=("--depth", Value(input="depth")), otherwise=("-",)), ["--depth", "5"]),
        (IfGiven(input="note", then=(), otherwise=(Joined(words=("no", "-note")),)), ["no-note"]),
    ],
)
def test_a_word_is_said_as_the_step_finds_it(word: Word, said: list[str]) -> None:
    assert list(argv_of(("fit", word), order(), PLACES)) == ["fit", *said]


@pytest.mark.parametrize(
    ("value", "text"), [("a b", "a b"), (5, "5"), (0.5, "0.5"), (True, "true"), ([1, "x"], '[1,"x"]'), ({}, "{}")]
)
def test_a_text_is_said_as_it_is_and_everything_else_as_json(value: Any, text: str) -> None:
    assert argv_of((Value(input="depth"),), order(values={"depth": value}), PLACES) == (text,)


def test_a_value_that_was_not_given_has_its_default() -> None:
    assert argv_of((Value(input="depth"),), order(values={}), PLACES) == ("4",)


def test_kubeflows_own_words_are_refused_with_their_place() -> None:
    with pytest.raises(UnsupportedError, match=r"pipeline\.py:7: the step 'fit'"):
        argv_of((Executor(),), order(), PLACES)


@pytest.mark.parametrize("name", ["", "..", "."])
def test_a_name_that_is_none_leads_nowhere_else(name: str) -> None:
    given = order(inputs={"rows": (artifact(name),)})
    assert argv_of((InputPath(input="rows"),), given, PLACES) == ("/in/rows/artifact",)


def test_a_name_with_folders_is_its_last_part() -> None:
    given = order(inputs={"rows": (artifact("../../etc/passwd"),)})
    assert argv_of((InputPath(input="rows"),), given, PLACES) == ("/in/rows/passwd",)


def test_a_function_is_told_its_values_and_where_everything_lies() -> None:
    assert order_document(order(), Function(module="pipeline", name="fit"), PLACES) == {
        "module": "pipeline",
        "function": "fit",
        "values": {"depth": 5},
        "inputs": {
            "rows": [{"path": "/in/rows/rows.csv", "type": "Dataset", "metadata": {"a": 1}}],
            "parts": [
                {"path": "/in/parts/0/a", "type": "Dataset", "metadata": {"a": 1}},
                {"path": "/in/parts/1/b", "type": "Dataset", "metadata": {"a": 1}},
            ],
        },
        "many": ["parts"],
        "outputs": {"model": {"path": "/out/artifacts/model", "type": "Model"}},
        "parameters": {"score": {"path": "/out/parameters/score", "type": "float"}},
        "metadata": "/out/metadata.json",
    }


def test_one_artifact_of_many_is_still_a_list() -> None:
    told = order_document(order(inputs={"parts": (artifact("a"),)}), Function(module="p", name="f"), PLACES)
    assert told["many"] == ["parts"]
    assert msgspec.json.encode(told)
