"""Keys: whatever a step's result can follow from changes them, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.oci.digest import Digest
from tiffin.pipeline.graph import Command, Function, InputPath, Place, Port, Resources, Step, Value
from tiffin.pipeline.keeping.key import canonical, key_document, key_of
from tiffin.pipeline.keeping.why import changes, origins_of
from tiffin.pipeline.meaning.values import typed
from tiffin.pipeline.results import Artifact
from tiffin.pipeline.workbench import Input
from unit.pipeline.graphs import constant, output, task


def digest(what: str) -> Digest:
    return Digest.of(what.encode())


def found(what: str, **more: Any) -> Input:
    return Input(digest=digest(what), path=Path("/here") / what, name=f"{what}.csv", type="Dataset", **more)


class Case(msgspec.Struct, frozen=True):
    """Everything that a key is made of."""

    step: Step
    identity: dict[str, str]
    values: dict[str, Any]
    inputs: dict[str, tuple[Input | Artifact, ...]]

    def document(self) -> bytes:
        return key_document(self.step, self.identity, self.values, self.inputs)


BEFORE = Case(
    step=Step(
        name="fit",
        does=Command(argv=("fit", "--depth", Value(input="depth"), InputPath(input="train")), image="trainer:1"),
        inputs={"train": Port(type="Dataset"), "depth": Port(type="int"), "extra": Port(type="Dataset", many=True)},
        outputs={"model": Port(type="Model")},
        env={"THREADS": "2"},
    ),
    identity={"environment": digest("environment"), "code": digest("code")},
    values={"depth": 4},
    inputs={"train": (found("train"),), "extra": (found("a"), found("b"))},
)


def put(case: Case, **changed: Any) -> Case:
    return msgspec.structs.replace(case, **changed)


def step(case: Case, **changed: Any) -> Case:
    return put(case, step=msgspec.structs.replace(case.step, **changed))


NEW = digest("new")
MATTERS: dict[str, Case] = {
    f"the environment: {BEFORE.identity['environment'][:19]}… -> {NEW[:19]}…": put(
        BEFORE, identity={**BEFORE.identity, "environment": NEW}
    ),
    f"the code: {BEFORE.identity['code'][:19]}… -> nothing": put(
        BEFORE, identity={"environment": digest("environment")}
    ),
    'the command: ["fit", "--depth", {"input": "depth", "word": "value"}, {"in… -> ["fit"]': step(
        BEFORE, does=Command(argv=("fit",), image="trainer:1")
    ),
    "what it does: ": step(BEFORE, does=Function(module="pipeline", name="fit")),
    "the parameter depth: 4 -> 5": put(BEFORE, values={"depth": 5}),
    "the parameter depth: 4 -> 4.0": put(BEFORE, values={"depth": 4.0}),
    'the parameter depth: 4 -> "4"': put(BEFORE, values={"depth": "4"}),
    "the parameter depth: 4 -> true": put(BEFORE, values={"depth": True}),
    "the parameter depth: 4 -> nothing": put(BEFORE, values={}),
    "the parameter depth: 4 -> null": put(BEFORE, values={"depth": None}),
    "the variable THREADS: 2 -> 4": step(BEFORE, env={"THREADS": "4"}),
    "the variable SEED: nothing -> 1": step(BEFORE, env={"THREADS": "2", "SEED": "1"}),
    f"the input train: {digest('train')[:19]}… -> {NEW[:19]}…, which split gave": put(
        BEFORE, inputs={**BEFORE.inputs, "train": (found("new"),)}
    ),
    f"the input extra: [1] {digest('b')[:19]}… -> {digest('c')[:19]}…": put(
        BEFORE, inputs={**BEFORE.inputs, "extra": (found("a"), found("c"))}
    ),
    f"the input extra: [0] {digest('a')[:19]}… -> {digest('b')[:19]}…": put(
        BEFORE, inputs={**BEFORE.inputs, "extra": (found("b"), found("a"))}
    ),
    "the input extra: 2 artifacts -> 3 artifacts": put(
        BEFORE, inputs={**BEFORE.inputs, "extra": (found("a"), found("b"), found("c"))}
    ),
    'the input train: metadata {} -> {"rows": 3}, which split gave': put(
        BEFORE, inputs={**BEFORE.inputs, "train": (found("train", metadata={"rows": 3}),)}
    ),
    "the input train: a file -> a folder, which split gave": put(
        BEFORE, inputs={**BEFORE.inputs, "train": (found("train", folder=True),)}
    ),
    "the output model: Model -> Artifact": step(BEFORE, outputs={"model": Port(type="Artifact")}),
    "the output scores: nothing -> Metrics": step(
        BEFORE, outputs={"model": Port(type="Model"), "scores": Port(type="Metrics")}
    ),
    "the network: false -> true": step(BEFORE, network=True),
}
DOES_NOT: dict[str, Case] = {
    "the name of the step": step(BEFORE, name="other"),
    "a description": step(BEFORE, description="trains"),
    "the line": step(BEFORE, place=Place(file="pipeline.py", line=7)),
    "resources": step(BEFORE, resources=Resources(cpus=4, memory=1 << 30)),
    "whether it is kept": step(BEFORE, cached=False),
    "what the image is called": step(BEFORE, does=msgspec.structs.replace(BEFORE.step.does, image="trainer:2")),
    "where an input lies and what it is called": put(
        BEFORE,
        inputs={
            **BEFORE.inputs,
            "train": (Input(digest=digest("train"), path=Path("/there"), name="x", type="Dataset", uri="s3://b/x"),),
        },
    ),
    "an input that a step gave": put(
        BEFORE,
        inputs={**BEFORE.inputs, "train": (Artifact(digest=digest("train"), size=5, type="Dataset", name="train"),)},
    ),
    "the order of names": put(BEFORE, inputs=dict(reversed(BEFORE.inputs.items()))),
}


@pytest.mark.parametrize("said", MATTERS)
def test_what_matters_changes_the_key_and_is_told(said: str) -> None:
    fit = task("fit", train=output("split", "train"), depth=constant(4))
    before, now = BEFORE.document(), MATTERS[said].document()
    assert key_of(before) != key_of(now)
    told = changes(before, now, origins_of(fit))
    assert len(told) == 1
    assert told[0].startswith(said) if said.endswith(": ") else told == [said]


@pytest.mark.parametrize("what", DOES_NOT)
def test_what_does_not_matter_leaves_the_key(what: str) -> None:
    assert DOES_NOT[what].document() == BEFORE.document()


def test_the_document_is_one_that_was_promised() -> None:
    assert json.loads(BEFORE.document()) == {
        "format": "1",
        "identity": BEFORE.identity,
        "does": {
            "kind": "command",
            "argv": [
                "fit",
                "--depth",
                {"word": "value", "input": "depth"},
                {"word": "input-path", "input": "train"},
            ],
        },
        "values": {"depth": 4},
        "env": {"THREADS": "2"},
        "inputs": {"train": [digest("train")], "extra": [digest("a"), digest("b")]},
        "outputs": {"model": "Model"},
        "network": False,
    }


def test_keys_are_the_same_in_every_version_of_tiffin() -> None:
    assert key_of(BEFORE.document()).hex == "9a3c64b73d234427bbc83fdd71f9fb8ff67f75fb4fc93a2aaff33cd1f8389cf9"


def test_an_int_given_to_a_float_makes_the_key_of_that_float() -> None:
    assert canonical(typed(1, "float", "it")) == canonical(1.0) != canonical(1)


def test_documents_of_another_format_differ_by_that_alone() -> None:
    assert changes(b'{"format":"0"}', BEFORE.document()) == ['how keys are made: "0" -> "1"']


def test_of_two_long_texts_is_told_where_they_part() -> None:
    long = "a" * 500
    before, now = put(BEFORE, values={"query": f"{long}b"}), put(BEFORE, values={"query": f"{long}c"})
    assert changes(before.document(), now.document()) == [
        f"the parameter query: …{'a' * 15}b -> …{'a' * 15}c",
    ]


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 2.5]) | st.sampled_from(["", "1"])
VALUES = st.dictionaries(
    st.sampled_from("abc"), st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2)), max_size=3
)
INPUTS = st.dictionaries(
    st.sampled_from("xyz"), st.lists(st.sampled_from("pq").map(found), max_size=2).map(tuple), max_size=2
)
CASES = st.builds(
    Case,
    step=st.builds(
        Step,
        name=st.just("s"),
        does=st.sampled_from([Function(module="m", name="f"), Function(module="m", name="g"), Command(argv=("f",))]),
        env=st.dictionaries(st.sampled_from("EF"), st.sampled_from(["", "1"]), max_size=2),
        network=st.booleans(),
    ),
    identity=st.dictionaries(st.sampled_from(["environment", "code"]), st.sampled_from([digest("1"), NEW])),
    values=VALUES,
    inputs=INPUTS,
)


def exactly(value: Any) -> Any:
    """A value that is equal to another only if that is of the same types all through."""
    if isinstance(value, list):
        return [exactly(each) for each in value]
    return (type(value).__name__, value)


@given(CASES, CASES)
def test_keys_are_equal_only_where_all_is_and_every_difference_is_told(left: Case, right: Case) -> None:
    def all_of(case: Case) -> Any:
        values = {name: exactly(value) for name, value in case.values.items()}
        return case.step, case.identity, values, case.inputs

    same = all_of(left) == all_of(right)
    assert (key_of(left.document()) == key_of(right.document())) is same
    assert (not changes(left.document(), right.document())) is same
