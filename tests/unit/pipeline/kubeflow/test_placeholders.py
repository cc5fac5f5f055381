"""Placeholders in commands become words, and what the launcher does not replace stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tiffin.pipeline.graph import Executor, IfGiven, InputPath, Joined, OutputPath, Value, Word
from tiffin.pipeline.kubeflow.placeholders import Names, words_of

NAMES = Names(inputs=frozenset({"a", "b c"}), outputs=frozenset({"m"}))


def words(text: str, left: list[str] | None = None) -> tuple[str | Word, ...]:
    return words_of(text, NAMES, (left if left is not None else []).append)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", ""),
        ("plain {{text}}", "plain {{text}}"),
        ("{{$}}", Executor()),
        ("{{$.outputs.output_file}}", Executor(answer=True)),
        ("{{$.outputMetadataUri}}", Executor(answer=True)),
        ("{{$.inputs.parameters['a']}}", Value(input="a")),
        ('{{$.inputs.parameters["b c"]}}', Value(input="b c")),
        ("{{$.inputs.artifacts['a'].path}}", InputPath(input="a")),
        ("{{$.inputs.artifacts['a'].uri}}", InputPath(input="a", uri=True)),
        ("{{$.outputs.artifacts['m'].path}}", OutputPath(output="m")),
        ("{{$.outputs.artifacts['m'].uri}}", OutputPath(output="m", uri=True)),
        ("{{$.outputs.parameters['m'].output_file}}", OutputPath(output="m")),
        (
            "a-{{$.inputs.parameters['a']}}{{$}}",
            Joined(words=("a-", Value(input="a"), Executor())),
        ),
    ],
)
def test_a_placeholder_is_a_word(text: str, word: str | Word) -> None:
    assert words(text) == (word,)


@pytest.mark.parametrize(
    "text",
    [
        "{{$.outputs.artifacts['m'].metadata}}",
        "{{$.inputs.parameters['nobody']}}",
        "{{$.outputs.artifacts['a'].path}}",
        "{{$.pipeline_job_name}}",
        "{{$.inputs.parameters['a'].x}}",
    ],
)
def test_what_the_launcher_does_not_replace_stays_and_is_told(text: str) -> None:
    left: list[str] = []
    assert words(f"x{text}y{{{{$}}}}", left) == (Joined(words=(f"x{text}y", Executor())),)
    assert left == [text]


def test_a_word_may_depend_on_an_input_and_be_several() -> None:
    found = words(
        '{"IfPresent": {"InputName": "a", "Then": ["--a", "{{$.inputs.parameters[\'a\']}}"], "Else": "none"}}'
    )
    assert found == (IfGiven(input="a", then=("--a", Value(input="a")), otherwise=("none",)),)


def test_of_an_input_that_nobody_has_the_other_words_are_taken() -> None:
    assert words('{"IfPresent": {"InputName": "nobody", "Then": "x", "Else": ["y", "z"]}}') == ("y", "z")
    assert words('{"IfPresent": {"InputName": "nobody", "Then": "x"}}') == ()


def test_words_are_put_together_and_within_each_other() -> None:
    inner = {"IfPresent": {"InputName": "a", "Then": {"Concat": ["b", "{{$.inputs.parameters['a']}}"]}}}
    assert words(json.dumps({"Concat": ["x=", inner, ""]})) == (
        Joined(words=("x=", IfGiven(input="a", then=(Joined(words=("b", Value(input="a"))),)), "")),
    )


@pytest.mark.parametrize(
    "found",
    [
        '{"IfPresent": ',
        {"Concat": "x"},
        {"Concat": [["x"]]},
        {"IfPresent": {"InputName": "a"}},
        {"IfPresent": {"InputName": "a", "Then": "x", "Other": "y"}},
        {"IfPresent": {"InputName": "a", "Then": [{"What": 1}]}},
    ],
)
def test_what_is_neither_is_refused(found: Any) -> None:
    text = found if isinstance(found, str) else json.dumps(found)
    with pytest.raises(ValueError, match=r"no JSON|neither|IfPresent has"):
        words(text)
