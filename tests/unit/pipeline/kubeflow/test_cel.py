"""Conditions in CEL, as Kubeflow's compiler writes them; of all others it is said what is not read."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.pipeline.graph import Argument, Compare, Condition, Constant, Every, Item, Not, Part, Some, Source, Text
from tiffin.pipeline.kubeflow.cel import NotRead, Typed, read_condition, read_selector

TYPES = {"a": "int", "f": "float", "s": "str", "d": "dict", "b": "bool", "x": ""}


def lookup(name: str) -> Typed | None:
    return Typed(source=Argument(name=name), type=TYPES[name]) if name in TYPES else None


def read(text: str) -> Condition:
    return read_condition(text.replace("$", "inputs.parameter_values"), lookup)


def is_(name: str, operator: str, value: object) -> Compare:
    return Compare(left=Argument(name=name), operator=operator, right=Constant(value=value))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("$['a'] == 3", is_("a", "==", 3)),
        ("int($['a']) >= 15", is_("a", ">=", 15)),
        ("double($['f']) < 0.5", is_("f", "<", 0.5)),
        ("double($['a']) < 5e-1", is_("a", "<", 0.5)),
        ('$["s"] != "it\\"s\\n\\x41\\u00e4"', is_("s", "!=", 'it"s\nAä')),
        ("$.s == 'even'", is_("s", "==", "even")),
        ("$['b'] == true", is_("b", "==", True)),
        ("$['b']", is_("b", "==", True)),
        ("!($['a'] == -1)", Not(of=is_("a", "==", -1))),
        ("!$['b']", Not(of=is_("b", "==", True))),
        ("!" * 5000 + "$['b']", is_("b", "==", True)),
        ("(($['a'])) <= (2)", is_("a", "<=", 2)),
        ("$['s'] == string(3)", is_("s", "==", "3")),
        ("$['a'] == int('3')", is_("a", "==", 3)),
        (
            "$['a'] == 1 && !($['a'] > 2) && $['b']",
            Every(of=(is_("a", "==", 1), Not(of=is_("a", ">", 2)), is_("b", "==", True))),
        ),
        (
            "$['a'] == 1 || $['a'] == 2 && $['b']",
            Some(of=(is_("a", "==", 1), Every(of=(is_("a", "==", 2), is_("b", "==", True))))),
        ),
        (
            "($['a'] == 1 || $['b']) && $['b']",
            Every(of=(Some(of=(is_("a", "==", 1), is_("b", "==", True))), is_("b", "==", True))),
        ),
    ],
)
def test_a_condition_is_read(text: str, condition: Condition) -> None:
    assert read(text) == condition


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("$['d']['k'][0] == 1", Part(of=Argument(name="d"), path=("k", 0))),
        ("$['d'].k == 1", Part(of=Argument(name="d"), path=("k",))),
        ("parseJson($['s'])['k'] == 1", Part(of=Argument(name="s"), path=("k",))),
        ("parseJson(string($['a'])) == 1", Part(of=Text(pieces=(Argument(name="a"),)), path=())),
    ],
)
def test_what_lies_within_a_value_is_reached(text: str, source: Source) -> None:
    assert read(text) == Compare(left=source, operator="==", right=Constant(value=1))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the expression ends too soon in column 1"),
        ("$['a'] + 1 == 2", "'+' is not read in column 30"),
        ("1 < 2 < 3", "comparisons cannot be chained in column 7"),
        ("size($['s']) == 1", "'size' is not known in column 1"),
        ("$['z'] == 1", "there is no value for the input 'z' in column 1"),
        ("int($['s']) == 1", "int() of a value of type str is not done here in column 1"),
        ("int($['f']) == 1", "int() of a value of type float is not done here in column 1"),
        ("int($['d']['k']) == 1", "int() of a value of no declared type is not done here in column 1"),
        ("$['a']['k'] == 1", "nothing lies within a value of type int in column 1"),
        ("$['a']", "a value of type int is no condition in column 1"),
        ("($['a'] == 1) == true", "a condition is compared or taken apart in column 1"),
        ("$['a'] == 1 $['b']", "'inputs' is not read here in column 35"),
        ("($['a'] == 1", "')' is missing in column 35"),
        ("outputs.x == 1", "'outputs' is not known in column 1"),
        ("inputs.artifacts['x'] == 1", "only inputs.parameter_values is read in column 1"),
        ("$['a'] == null", "'null' is not known in column 33"),
        ("int('x') == 1", "'x' is no number in column 1"),
        ("(" * 99, "it is nested too deep in column 65"),
        ("!" * 5001 + "$['a']", "a value of type int is no condition in column 1"),
    ],
)
def test_anything_else_is_refused_with_its_column(text: str, reason: str) -> None:
    with pytest.raises(NotRead) as caught:
        read(text)
    assert str(caught.value) == reason


def test_a_selector_takes_a_part_of_a_value_or_of_a_texts_json() -> None:
    item = Item(loop="each")
    for type_ in ("dict", "str", ""):
        found = read_selector('parseJson(string_value)["A_a"][1]', Typed(source=item, type=type_))
        assert found == Typed(source=Part(of=item, path=("A_a", 1)))


@given(st.text(alphabet="abinputs.parameter_values[]'\"()!=<>&|01 -\\", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(NotRead):
        assert read(text)
