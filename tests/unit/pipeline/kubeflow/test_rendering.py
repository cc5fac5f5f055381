"""Values are written as Go writes them, so that a program sees the same here and on a cluster."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.pipeline.meaning.rendering import message, rendered


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a <b> & ä\n", "a <b> & ä\n"),
        (3, "3"),
        (3.0, "3"),
        (-0.5, "-0.5"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (0.1 + 0.2, "0.30000000000000004"),
        (2**53 + 1, "9007199254740992"),
        (10**400, "+Inf"),
        (True, "true"),
        (False, "false"),
        ([], "[]"),
        ({}, "{}"),
        ({"b": 1.0, "a": [True, None, "x"]}, '{"a":[true,null,"x"],"b":1}'),
        (["<a & b>", "\u2028", "ä"], '["\\u003ca \\u0026 b\\u003e","\\u2028","ä"]'),
        ([1e-7, 1e21, 1.5e-9, 123456789.125, 1e20], "[1e-7,1e+21,1.5e-9,123456789.125,100000000000000000000]"),
    ],
)
def test_a_value_is_an_argument_of_a_command(value: Any, text: str) -> None:
    assert rendered(value) == text


def test_a_message_does_not_escape_what_html_could_take_for_its_own() -> None:
    assert message({"b": "<&>", "a": math.nan, "c": -math.inf}) == '{"a":"NaN","b":"<&>","c":"-Infinity"}'


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_written_is_read_back_as_the_same(value: Any) -> None:
    assert json.loads(message(value), parse_int=float) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_without_an_exponent_and_read_back_as_the_same(value: float) -> None:
    assert "e" not in rendered(value)
    assert float(rendered(value)) == value
