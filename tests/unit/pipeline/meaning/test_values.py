"""Values as text and back: nothing changes on the way, and what has no text is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given as holds_for
from hypothesis import strategies as st

from tiffin.errors import CommandError, ConfigError
from tiffin.pipeline.meaning.values import given, shown, typed, written

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OF_TYPE = st.one_of(
    st.tuples(st.just("int"), st.integers()),
    st.tuples(st.just("float"), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("bool"), st.booleans()),
    st.tuples(st.just("str"), st.text()),
    st.tuples(st.just("list"), st.lists(JSON, max_size=4)),
    st.tuples(st.just("dict"), st.dictionaries(st.text(), JSON, max_size=4)),
)


@holds_for(OF_TYPE)
def test_what_is_shown_is_read_back_as_it_was(case: tuple[str, Any]) -> None:
    type_, value = case
    for read in (given, written):
        back = read(shown(value), type_, "it")
        assert back == value
        assert type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (-0.5, "-0.5"),
        (1e22, "1" + 22 * "0"),
        (1e-7, "0.0000001"),
        (0.1, "0.1"),
        (True, "true"),
        (False, "false"),
        (12, "12"),
        ([1, 2.0, "a b"], '[1,2,"a b"]'),
        ({"b": None, "a": [True]}, '{"a":[true],"b":null}'),
        (" as it is\n", " as it is\n"),
    ],
)
def test_values_are_shown_as_kubeflows_launcher_shows_them(value: Any, text: str) -> None:
    assert shown(value) == text


def test_an_int_given_to_a_float_is_that_float_and_a_whole_float_given_to_an_int_is_that_int() -> None:
    assert (typed(1, "float", "it"), type(typed(1, "float", "it"))) == (1.0, float)
    assert (typed(3.0, "int", "it"), type(typed(3.0, "int", "it"))) == (3, int)
    assert typed((1, 2), "list", "it") == [1, 2]


@pytest.mark.parametrize(
    ("value", "type_"),
    [(True, "int"), (1, "bool"), ("1", "int"), (1, "str"), (0.5, "int"), (True, "float"), ([], "dict"), (None, "str")],
)
def test_a_value_of_another_type_is_refused_by_name(value: Any, type_: str) -> None:
    with pytest.raises(ConfigError, match=r"the parameter depth is .* and should be") as refused:
        typed(value, type_, "the parameter depth")
    assert refused.value.hint


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-Infinity", "1e999"])
def test_a_step_that_gives_no_finite_number_is_told_so_in_words(text: str) -> None:
    with pytest.raises(CommandError, match=r"the output accuracy of evaluate is (not a number|infinite)"):
        given(text, "float", "the output accuracy of evaluate")


@pytest.mark.parametrize("value", [[math.nan], {"a": {"b": math.inf}}])
def test_a_number_that_is_none_is_found_wherever_it_is(value: Any) -> None:
    with pytest.raises(ConfigError, match="neither compared nor kept"):
        typed(value, "list" if isinstance(value, list) else "dict", "it")


def test_a_dict_with_keys_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="an int as a key"):
        typed({1: 2}, "dict", "it")


@pytest.mark.parametrize(("text", "type_", "value"), [(" 3\n", "int", 3), ("3.0", "int", 3), ("7\n", "float", 7.0)])
def test_space_around_a_number_means_nothing(text: str, type_: str, value: Any) -> None:
    assert given(text, type_, "it") == value


@pytest.mark.parametrize(("text", "value"), [("True\n", True), ("1", True), ("false", False), ("F", False)])
def test_a_bool_is_read_as_go_reads_it(text: str, *, value: bool) -> None:
    assert given(text, "bool", "it") is value


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("", "int"),
        ("1_000", "int"),
        ("٣", "int"),
        ("yes", "bool"),
        ("{", "dict"),
        ("[1]", "dict"),
        ("[" * 9999, "list"),
    ],
)
def test_a_text_that_means_nothing_is_refused_with_what_it_should_be(text: str, type_: str) -> None:
    with pytest.raises(CommandError, match="should be") as refused:
        given(text, type_, "it")
    assert "have the step write" in (refused.value.hint or "")
